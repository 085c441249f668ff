"""The commands ``firebase transfer``, ``firebase submit`` and ``forget`` as they are typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import agir_cvtoolkit
from agir_cvtoolkit.cli import main
from tests.stages.capture_queue import Queue, capture, jpeg


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.chdir(tmp_path)
    for name in ("CVAT_URL", "CVAT_HOST", "CVAT_ACCESS_TOKEN", "CVAT_USERNAME", "CVAT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    return Queue(tmp_path)


def typed(queue: Queue, *words: str) -> Result:
    options = [word for one in queue.overrides() for word in ("-o", one)]
    return CliRunner().invoke(main, [*words, *options])


def test_the_help_names_every_option_of_today(queue: Queue) -> None:
    said = CliRunner().invoke(main, ["firebase", "transfer", "--help"], terminal_width=200).output
    for word in (
        "--service-account",
        "--limit",
        "--priority",
        "--output-dir",
        "--gpusrv-host",
        "--dataset-name",
    ):
        assert word in said
    for default in ("/data/cvat-annotations", "gpusrv.tailfdc654.ts.net", "50", "5"):
        assert default in said


def test_a_transfer_tells_what_it_did(queue: Queue) -> None:
    queue.fill(2)
    queue.store.create(capture(7, 9), b"")
    done = typed(queue, "firebase", "transfer", "--limit", "2", "--priority", "6")
    assert done.exit_code == 1, done.output
    assert "2 captures transferred" in done.stdout
    assert "http://gpusrv.tailfdc654.ts.net:8080" in done.stdout
    assert "failed: pose-0007: the picture is empty" in done.stderr
    assert typed(queue, "firebase", "transfer").exit_code == 0


@pytest.mark.parametrize("command", ["transfer", "run"])
def test_of_no_more_than_are_brought_nothing_can_be_chosen(queue: Queue, command: str) -> None:
    done = typed(queue, "firebase", command, "--limit", "5", "--look-at", "5")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "of 5 captures that are looked at 5 cannot be chosen" in done.stderr.lower()


def test_it_starts_a_run_of_its_own(queue: Queue) -> None:
    done = typed(queue, "firebase", "transfer", "--run", "another")
    assert done.exit_code == 2
    assert "--run" in done.stderr


def test_its_result_for_programs(queue: Queue) -> None:
    queue.fill(1)
    done = typed(queue, "firebase", "transfer", "--json")
    result = json.loads(done.stdout)
    assert (done.exit_code, result["transferred"], result["captures"]) == (0, 1, ["pose-0000"])


def test_a_folder_that_cannot_be_written_to_ends_with_2(queue: Queue) -> None:
    (queue.root / "file").write_text("")
    done = typed(queue, "firebase", "transfer", "--output-dir", str(queue.root / "file" / "x"))
    assert done.exit_code == 2
    assert "--output-dir" in done.stderr


@pytest.mark.parametrize(
    "words", [("--limit", "0"), ("--priority", "11"), ("--deliver", "pigeon"), ("--limt", "3")]
)
def test_wrong_options_end_with_2(queue: Queue, words: tuple[str, ...]) -> None:
    assert typed(queue, "firebase", "transfer", *words).exit_code == 2


def test_without_a_key_it_ends_with_2(queue: Queue) -> None:
    missing = str(queue.root / "no-such-key.json")
    done = CliRunner().invoke(
        main, ["firebase", "transfer", "--service-account", missing, "--output-dir", str(queue.folder)]
    )
    assert done.exit_code == 2
    assert "no-such-key.json" in done.stderr


def test_the_near_command_is_suggested() -> None:
    done = CliRunner().invoke(main, ["firebase", "transfre"])
    assert done.exit_code == 2
    assert "transfer" in done.stderr


def test_watching_goes_on_until_it_is_stopped(queue: Queue) -> None:
    queue.fill(1)
    command = [
        sys.executable,
        "-m",
        "agir_cvtoolkit",
        "firebase",
        "transfer",
        "--watch",
        "-o",
        "firebase.poll_s=0.2",
    ]
    command += [word for one in queue.overrides() for word in ("-o", one)]
    sources = str(Path(agir_cvtoolkit.__file__).parents[1])
    with (queue.root / "said").open("w") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=said, env=os.environ | {"PYTHONPATH": sources}
        )
        try:
            wait(queue, 1, process)
            store = queue.store
            store.create(capture(5), jpeg(5))
            wait(queue, 2, process)
            process.send_signal(signal.SIGTERM)
            assert process.wait(300) == 0, (queue.root / "said").read_text()
        finally:
            process.kill()


def wait(queue: Queue, count: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until so many captures are transferred."""
    for _ in range(3000):
        found = queue.store.get([f"pose-{number:04}" for number in range(9)]).values()
        if [(c.status, c.claimed_by) for c in found] == [("in_progress", None)] * count:
            return
        assert process.poll() is None
        time.sleep(0.1)
    pytest.fail("nothing was transferred")


def test_a_device_is_played_and_its_capture_forgotten(queue: Queue) -> None:
    (queue.root / "photos").mkdir()
    (queue.root / "photos" / "dog.jpg").write_bytes(jpeg())
    (queue.root / "photos" / "dog.json").write_text(
        '{"keypoints": [{"type": "nose", "x": 3, "y": 4, "confidence": 0.4}]}'
    )
    done = typed(queue, "firebase", "submit", "photos", "--device", "phone-7")
    assert done.exit_code == 0, done.output
    assert "1 capture of 1 picture submitted" in done.stdout
    asked = typed(queue, "forget", "dog")
    assert asked.exit_code == 2
    assert "--yes" in asked.stderr
    looked = typed(queue, "forget", "dog", "--dry-run")
    assert "would be removed: capture dog" in looked.stdout
    assert typed(queue, "forget", "dog", "--yes").exit_code == 0
    assert queue.statuses() == {}
    assert typed(queue, "forget", "dog", "--yes").exit_code == 2


def test_a_watch_with_a_wrong_template_ends_and_nothing_has_failed(queue: Queue) -> None:
    queue.fill(50)
    done = typed(queue, "firebase", "transfer", "--watch", "--image-path", "elsewhere/{pose_id}.jpg")
    assert done.exit_code == 2
    assert "firebase.image_path" in done.stderr
    assert queue.statuses() == {"pending": 50}


def test_a_few_missing_pictures_are_listed_with_what_may_be_wrong(queue: Queue) -> None:
    queue.fill(2)
    done = typed(queue, "firebase", "transfer", "--image-path", "elsewhere/{pose_id}.jpg")
    assert done.exit_code == 1
    assert "2 wait: is firebase.image_path right" in done.stdout
    assert "waits: pose-0000: the picture of capture 'pose-0000' is not at" in done.stderr
    assert queue.statuses() == {"pending": 2}
