"""``fetch``: the pictures of a run's query, staged."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import numpy as np
import pytest
import urllib3

from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.pictures import png_bytes
from agir_cvtoolkit.runs import read_json_object
from agir_cvtoolkit.sources.remote import Remote
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.fetch import fetch
from agir_cvtoolkit.stages.infer_seg import infer_seg
from agir_cvtoolkit.stages.query import query

NAMES = ("a", "b", "c")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a CSV of three pictures in a store."""
    monkeypatch.chdir(tmp_path)
    lines = [f"{name}_0,{name},GROW,2022/{name}.png" for name in NAMES]
    (tmp_path / "semif.csv").write_text("\n".join(["cutout_id,image_id,ncsu_nfs,image_path", *lines]))
    return tmp_path


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    for n, name in enumerate(NAMES):
        files.pipe(f"/grow/2022/{name}.png", picture(n))
    yield files
    files.rm("/", recursive=True)


def picture(n: int) -> bytes:
    return png_bytes(np.random.default_rng(n).integers(0, 255, (40, 60, 3), np.uint8))


@cache  # to compose the settings takes longer than to fetch
def call(*overrides: str, root: str = "memory://grow", dry_run: bool = False) -> Call:
    return Call(
        overrides=("db.semif.db_path=semif.csv", f"io.roots={{GROW: '{root}'}}", *overrides), dry_run=dry_run
    )


@pytest.mark.usefixtures("memory")
def test_pictures_of_a_storage_are_fetched_once_and_predicted(
    work: Path, caplog: pytest.LogCaptureFixture
) -> None:
    query(call=call())
    planned = fetch(call(dry_run=True))
    assert (planned.total, planned.fetched, planned.cache.exists()) == (3, 3, False)
    missing = infer_seg(call(dry_run=True))
    assert (missing.predicted, len(missing.items)) == (0, 3)
    assert missing.items[0].reason.endswith(
        "memory://grow/2022/a.png is not fetched yet. Run: agir-cvtoolkit fetch"
    )
    assert (
        "3 pictures are not fetched yet, such as memory://grow/2022/a.png; run: agir-cvtoolkit fetch"
        in caplog.text
    )
    done = fetch(call())
    assert (done.total, done.fetched, done.kept, done.failed, done.exit_code) == (3, 3, 0, 0, 0)
    assert done.bytes_fetched == sum(len(picture(n)) for n in range(3))
    again = fetch(call())
    assert (again.fetched, again.kept) == (0, 3)
    result = infer_seg(call())
    assert (result.predicted, result.failed) == (3, 0)
    metrics = read_json_object(work / "outputs" / "runs" / "current" / "metrics.json")["fetch"]
    assert (metrics["total"], metrics["kept"], metrics["items"]) == (3, 3, [])


def test_what_cannot_be_fetched_is_listed_and_the_rest_is_there(work: Path, memory: Any) -> None:
    memory.rm("/grow/2022/b.png")
    query(call=call())
    done = fetch(call())
    assert (done.fetched, done.failed, done.exit_code) == (2, 1, 1)
    (item,) = done.items
    assert (item.record_id, item.outcome) == ("b", "failed")
    assert "memory://grow/2022/b.png does not exist" in item.reason
    assert infer_seg(call()).predicted == 2


@pytest.mark.usefixtures("work", "memory")
def test_a_storage_that_fails_is_asked_as_often_as_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def failing(self: Remote, address: str, start: int) -> Iterator[bytes]:
        asked.append(address)
        raise TimeoutError("no\nanswer")

    monkeypatch.setattr(Remote, "read", failing)
    monkeypatch.setattr("agir_cvtoolkit.sources.fetching._FIRST_PAUSE_S", 0.0)
    query(call=call())
    done = fetch(call("fetch.attempts=3"))
    assert (done.fetched, done.failed, len(asked)) == (0, 3, 9)
    assert {item.reason.partition(" cannot be ")[2] for item in done.items} == {
        "fetched: no answer. Run fetch again."
    }


def test_what_changed_or_was_damaged_is_fetched_anew(work: Path, memory: Any) -> None:
    query(call=call())
    done = fetch(call())
    memory.pipe("/grow/2022/a.png", picture(9))
    assert (fetch(call()).fetched, fetch(call()).fetched) == (1, 0)
    for path in done.cache.rglob("*.png"):
        path.write_bytes(bytes(path.stat().st_size))
    assert fetch(call()).fetched == 0
    assert fetch(call(), verify=True).fetched == 3
    assert infer_seg(call()).predicted == 3


def test_the_cache_keeps_its_bound(work: Path, memory: Any) -> None:
    size = sum(len(picture(n)) for n in range(3))
    query(call=call())
    fetch(call("project.name=one"))
    (work / "semif.csv").write_text("cutout_id,image_id,ncsu_nfs,image_path\nd_0,d,GROW,d.png\n")
    memory.pipe("/grow/d.png", picture(7))
    query(call=call())
    done = fetch(call(f"fetch.cache_gb={(size + 10) / 1e9}"))
    assert (done.fetched, done.removed) == (1, 1)
    assert sum(path.stat().st_size for path in done.cache.rglob("*.png")) <= size + 10
    memory.pipe("/grow/d.png", bytes(size + 11))
    with pytest.raises(UsageError, match=r"the cache .* holds") as caught:
        fetch(call(f"fetch.cache_gb={(size + 10) / 1e9}"))
    assert "fetch.cache_gb" in caught.value.next_step


def test_a_slow_folder_is_staged_where_it_is_asked_for(work: Path) -> None:
    store = work / "slow"
    (store / "2022").mkdir(parents=True)
    for n, name in enumerate(NAMES):
        (store / "2022" / f"{name}.png").write_bytes(picture(n))
    query(call=call(root=str(store)))
    assert fetch(call(root=str(store))).total == 0
    done = fetch(call(f"fetch.cache_dir={work}/fast", "fetch.workers=1", root=f"file://{store}"))
    assert (done.fetched, done.cache) == (3, work / "fast")


@pytest.mark.integration
def test_pictures_of_a_google_bucket(
    work: Path, storage_emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Otherwise it asks Google, by gRPC and for a minute, what kind of bucket it is.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    pytest.importorskip("gcsfs", reason="no gcsfs: pip install '.[dev]'")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_emulator)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    options = {"token": "anon", "endpoint_url": storage_emulator, "skip_instance_cache": True}
    monkeypatch.setitem(fsspec.config.conf, "gs", options)
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    with urllib3.PoolManager(retries=False, timeout=60) as http:
        http.request("POST", f"{storage_emulator}/storage/v1/b", json={"name": bucket})
        for n, name in enumerate(NAMES):
            target = (
                f"{storage_emulator}/upload/storage/v1/b/{bucket}/o?uploadType=media&name=2022/{name}.png"
            )
            assert http.request("POST", target, body=picture(n)).status == 200
    query(call=call())
    done = fetch(call(root=f"gs://{bucket}"))
    assert (done.fetched, done.items) == (3, ())
    assert sorted(path.read_bytes() for path in done.cache.rglob("*.png")) == sorted(map(picture, range(3)))
    assert fetch(call(root=f"gs://{bucket}")).kept == 3


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    pytest.importorskip("s3fs", reason="no s3fs: pip install '.[dev]'")
    moto = pytest.importorskip("moto.server", reason="no moto: pip install '.[dev]'")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        options: dict[str, object] = {"key": "any", "secret": "any", "endpoint_url": f"http://{host}:{port}"}
        options |= {"skip_instance_cache": True}
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setitem(fsspec.config.conf, "s3", options)
        yield "s3"
    finally:
        server.stop()


@pytest.mark.integration
def test_pictures_of_an_amazon_bucket(work: Path, amazon: str) -> None:
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    files = fsspec.filesystem(amazon)
    files.mkdir(bucket)
    for n, name in enumerate(NAMES):
        files.pipe_file(f"{bucket}/2022/{name}.png", picture(n))
    root = f"{amazon}://{bucket}"
    query(call=call())
    done = fetch(call(root=root))
    assert (done.fetched, done.items) == (3, ())
    files.pipe_file(f"{bucket}/2022/a.png", picture(9))
    assert (fetch(call(root=root)).fetched, fetch(call(root=root)).kept) == (1, 3)
    assert infer_seg(call(root=root)).predicted == 3


@pytest.mark.usefixtures("work")
def test_storages_without_credentials_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoCredentialsError(Exception):
        """As the library of Amazon has one."""

    asked: list[str] = []

    def refused(self: Remote, address: str) -> None:
        asked.append(address)
        raise NoCredentialsError("Unable to locate credentials")

    monkeypatch.setattr(Remote, "describe", refused)
    query(call=call())
    done = fetch(call())
    assert (done.failed, len(asked)) == (3, 3)
    assert "Unable to locate credentials" in done.items[0].reason
    assert "Check the credentials" in done.items[0].reason
