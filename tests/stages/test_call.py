"""What every stage shares: one composition per call, and no secret in a run's configuration."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

import pytest
from PIL import Image

from agir_cvtoolkit import Call
from agir_cvtoolkit.errors import ConfigError, PictureError, UsageError
from agir_cvtoolkit.picture_limit import (
    DEFAULT_MEGAPIXELS,
    WHOLE_SAMPLES,
    allow_megapixels,
    bits_in_use,
    reading_identity,
    take_sample_bits,
)
from agir_cvtoolkit.pictures import glance
from agir_cvtoolkit.runs import start_run


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_settings_are_composed_once() -> None:
    call = Call(overrides=("train.seed=5",))
    assert call.settings() is call.settings()
    assert call.settings().train.seed == 5


def test_no_secret_is_written_into_a_run() -> None:
    override = "io.ledger_url='postgresql://me:hunter2@db/x'"
    call = Call(
        overrides=(override,),
        command_line=("agir-cvtoolkit", "query", "-o", override, "--note=password=hunter2"),
    )
    settings = call.settings()
    run = start_run(settings.io.out_root, "a")
    call.record_config(run, "query", settings, settings.dump())
    text = run.path("cfg.query.yaml").read_text()
    assert "hunter2" not in text
    assert "postgresql://me:***@db/x" in text


def test_a_dry_run_neither_locks_nor_logs() -> None:
    run = start_run(Path("outputs/runs"), "a")
    before = sorted(run.root.rglob("*"))
    with Call(dry_run=True).work(run, "train"), Call(dry_run=True).work(run, "train"):
        pass
    assert sorted(run.root.rglob("*")) == before
    with Call().work(run, "train"):
        with pytest.raises(UsageError, match="already running"):
            with Call().work(run, "train"):
                pass
    assert run.path("logs", "train.jsonl").is_file()


def test_stages_that_work_beside_each_other_keep_their_logs_apart() -> None:
    """Each log has what its own thread says, those within it too, and what nobody can be told of."""
    log = logging.getLogger("agir_cvtoolkit.somewhere")
    together = threading.Barrier(2, timeout=120)

    def work(name: str) -> None:
        run = start_run(Path("outputs/runs"), name)
        with Call().work(run, "outer"):
            together.wait()
            log.warning("outer of %s", name)
            with Call().work(run, "inner"):
                together.wait()
                log.warning("inner of %s", name)
                together.wait()
            together.wait()
            aside = threading.Thread(target=log.warning, args=("aside of %s", name))
            aside.start()
            aside.join()
            together.wait()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def said(name: str, stage: str) -> set[str]:
        lines = Path("outputs/runs", name, "logs", f"{stage}.jsonl").read_text(encoding="utf-8").splitlines()
        return {json.loads(line)["message"] for line in lines if " of " in line}

    for name in ("a", "b"):
        assert said(name, "outer") == {f"outer of {name}", f"inner of {name}", "aside of a", "aside of b"}
        assert said(name, "inner") == {f"inner of {name}"}


def test_how_many_bits_of_samples_are_in_use_is_a_setting() -> None:
    try:
        Call(overrides=("io.sample_bits=12",)).settings()
        assert (bits_in_use(), reading_identity()) == (12, (12,))
        Call().settings()
        assert (bits_in_use(), reading_identity()) == (16, ())
        with pytest.raises(ConfigError, match=r"io\.sample_bits"):
            Call(overrides=("io.sample_bits=7",)).settings()
    finally:
        take_sample_bits(WHOLE_SAMPLES)


def test_how_large_pictures_may_be_is_a_setting() -> None:
    path = Path("a.png")
    Image.new("1", (1200, 1000)).save(path)
    try:
        Call(overrides=("io.max_megapixels=1",)).settings()
        with pytest.raises(
            PictureError, match=r"1200x1000 pixels, more than 1 million.*raise io\.max_megapixels"
        ):
            glance(path)
        Call().settings()
        assert glance(path).size == (1200, 1000)
    finally:
        allow_megapixels(DEFAULT_MEGAPIXELS)
