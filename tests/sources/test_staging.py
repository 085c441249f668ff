"""Pictures of storages: where they are staged, how they are brought, and what makes room."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pytest

from agir_cvtoolkit.errors import ConfigError, DataError, MissingExtraError, PictureError
from agir_cvtoolkit.sources.fetching import bring, described
from agir_cvtoolkit.sources.paths import Finder
from agir_cvtoolkit.sources.remote import Description, Remote, protocol_of
from agir_cvtoolkit.sources.staging import Cache, Staged

CONTENT = bytes(range(256)) * 20_000


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    files.pipe("/bucket/a.jpg", CONTENT)
    yield files
    files.rm("/", recursive=True)


class Flaky(Remote):
    """A storage that breaks off after some bytes, a number of times."""

    def __init__(self, breaks: int, after: int = 1 << 20, error: Exception | None = None) -> None:
        super().__init__("memory")
        self.breaks, self.after = breaks, after
        self.error = error or TimeoutError("no answer")
        self.starts: list[int] = []

    def read(self, address: str, start: int) -> Iterator[bytes]:
        self.starts.append(start)
        chunks = super().read(address, start)
        if self.breaks:
            self.breaks -= 1
            yield next(chunks)[: self.after]
            raise self.error
        yield from chunks


def fetch(remote: Remote, cache: Cache, address: str = "memory://bucket/a.jpg", attempts: int = 3) -> Staged:
    return bring(remote, cache, address, described(remote, address, 1), attempts, lambda _: None)


# --- where -------------------------------------------------------------------------------------


def place(finder: Finder, path: str, store: str | None = None) -> tuple[str, str | None]:
    found = finder.picture(path, store, None)
    assert found is not None
    return str(found.path), found.address


def test_roots_by_store_by_beginning_and_for_the_rest(tmp_path: Path, cache: Cache) -> None:
    stores = {
        "GROW": "s3://grow/v1/",
        "local": str(tmp_path),
        "/mnt/theirs/": "/data",
        "/mnt/theirs/slow": "gs://slow",
        "Z:/": str(tmp_path),
        "elsewhere": "gs://rest",
    }
    (tmp_path / "here.jpg").touch()
    finder = Finder((tmp_path,), stores, cache)
    for path, store, address in (
        ("a/b.jpg", "GROW", "s3://grow/v1/a/b.jpg"),
        ("a\\b.jpg", "GROW", "s3://grow/v1/a/b.jpg"),
        ("/mnt/theirs/slow/x.jpg", None, "gs://slow/x.jpg"),
        ("gs://other/x.jpg", "GROW", "gs://other/x.jpg"),
        ("nowhere.jpg", None, "gs://rest/nowhere.jpg"),
        ("nowhere.jpg", "unknown", "gs://rest/unknown/nowhere.jpg"),
    ):
        assert place(finder, path, store) == (str(cache.path_of(address)), address)
    assert place(finder, "here.jpg") == (str(tmp_path / "here.jpg"), None)
    assert place(finder, "here.jpg", "local") == (str(tmp_path / "here.jpg"), None)
    assert place(finder, "Z:\\here.jpg") == (str(tmp_path / "here.jpg"), None)
    assert place(finder, "/mnt/theirs/x.jpg") == ("/data/x.jpg", None)
    assert Finder((), {}, cache).picture("\x00", None, None) is None


def test_a_staged_picture_has_a_name_of_its_own(cache: Cache) -> None:
    names = [cache.path_of(f"s3://b/{n}.JPG") for n in range(100)]
    assert len({*names, cache.path_of("s3://b/1.jpg"), cache.path_of("gs://b/1.jpg")}) == 102
    assert {path.suffix for path in names} == {".jpg"}
    assert cache.path_of("s3://b/../../etc/passwd").is_relative_to(cache.folder)
    assert cache.path_of("s3://b/1.jpg") == Cache(cache.folder).path_of("s3://b/1.jpg")


# --- how ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("memory")
def test_a_picture_is_brought_with_its_hash(cache: Cache) -> None:
    staged = fetch(Remote("memory"), cache)
    assert cache.path_of(staged.address).read_bytes() == CONTENT
    assert staged.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert cache.known(staged.address) == staged
    assert cache.is_intact(staged)
    cache.path_of(staged.address).write_bytes(b"x" + CONTENT[1:])
    assert not cache.is_intact(staged)
    cache.path_of(staged.address).write_bytes(CONTENT[:-1])
    assert cache.known(staged.address) is None


@pytest.mark.usefixtures("memory")
def test_it_goes_on_where_it_stopped(cache: Cache) -> None:
    remote = Flaky(2)
    assert fetch(remote, cache).size == len(CONTENT)
    assert remote.starts == [0, 1 << 20, 2 << 20]
    assert cache.path_of("memory://bucket/a.jpg").read_bytes() == CONTENT


@pytest.mark.usefixtures("memory")
def test_so_it_does_after_a_kill(cache: Cache) -> None:
    with pytest.raises(PictureError, match="no answer"):
        fetch(Flaky(3), cache, attempts=2)
    remote = Flaky(0)
    assert fetch(remote, cache).sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert remote.starts == [2 << 20]
    assert not list(cache.folder.rglob("*.part"))


def test_another_version_is_begun_anew(cache: Cache, memory: Any) -> None:
    with pytest.raises(PictureError):
        fetch(Flaky(1), cache, attempts=1)
    memory.pipe("/bucket/a.jpg", CONTENT[::-1])
    remote = Flaky(0)
    assert fetch(remote, cache).sha256 == hashlib.sha256(CONTENT[::-1]).hexdigest()
    assert remote.starts == [0]


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Description(len(CONTENT) + 5, "", None), r"\d+ of \d+ bytes arrived"),
        (Description(len(CONTENT) - 5, "", None), "not what the storage has"),
        (Description(len(CONTENT), "", "00" * 16), "not what the storage has"),
    ],
)
def test_what_is_not_as_the_storage_says_is_never_staged(found: Description, said: str, cache: Cache) -> None:
    address = "memory://bucket/a.jpg"
    with pytest.raises(PictureError, match=said) as caught:
        bring(Remote("memory"), cache, address, found, 2, lambda _: None)
    assert caught.value.next_step == "Run fetch again."
    assert cache.known(address) is None


@pytest.mark.usefixtures("memory")
def test_what_cannot_be_had_is_not_tried_again(cache: Cache) -> None:
    pauses: list[float] = []
    with pytest.raises(PictureError, match=r"memory://bucket/none.jpg does not exist") as caught:
        described(Remote("memory"), "memory://bucket/none.jpg", 4, pauses.append)
    assert "io.roots" in caught.value.next_step
    found = described(Remote("memory"), "memory://bucket/a.jpg", 1)
    forbidden = Flaky(9, error=PermissionError("403"))
    with pytest.raises(PictureError, match="must not be read"):
        bring(forbidden, cache, "memory://bucket/a.jpg", found, 4, pauses.append)
    assert pauses == []
    with pytest.raises(PictureError, match="no answer"):
        bring(Flaky(9), cache, "memory://bucket/a.jpg", found, 4, pauses.append)
    assert pauses == [0.5, 1.0, 2.0]


@pytest.mark.usefixtures("memory")
def test_a_full_disk_ends_it(cache: Cache) -> None:
    full = Flaky(9, error=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(DataError, match="the disk is full"):
        fetch(full, cache)
    assert len(full.starts) == 1


def test_local_folders_can_be_slow_storage_too(tmp_path: Path, cache: Cache) -> None:
    (tmp_path / "ü &%.jpg").write_bytes(b"picture")
    address = f"file://{tmp_path}/ü &%.jpg"
    assert fetch(Remote("file"), cache, address).size == 7
    with pytest.raises(PictureError, match="does not exist"):
        described(Remote("file"), f"file://{tmp_path}", 1)


def test_storages_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert protocol_of("gs://b/x") == "gs"
    with pytest.raises(ConfigError, match="nope://"):
        Remote("nope")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"agir-cvtoolkit\[cloud\]"):
        Remote("s3")


# --- what makes room ---------------------------------------------------------------------------


def stage(cache: Cache, name: str, size: int, used: float) -> Path:
    address = f"s3://b/{name}"
    path = cache.path_of(address)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(bytes(size))
    cache.keep(Staged(address, size, "", ""), part)
    os.utime(path.with_name(path.name + ".json"), (used, used))
    return path


def test_what_was_used_longest_ago_makes_room(cache: Cache) -> None:
    paths = [stage(cache, f"{n}.jpg", 100, used=1000 + n) for n in range(5)]
    assert cache.make_room(0, 500, []) == 0
    cache.use("s3://b/0.jpg")
    assert cache.make_room(150, 500, [paths[2]]) == 2
    assert [path.is_file() for path in paths] == [True, False, True, False, True]
    assert cache.make_room(500, 500, []) == 3
    assert not [path for path in cache.folder.rglob("*") if path.is_file()]


def test_what_was_half_brought_makes_room_too(cache: Cache) -> None:
    part = stage(cache, "a.jpg", 100, used=2e9).with_suffix(".part")
    part.write_bytes(bytes(300))
    os.utime(part, (1000, 1000))
    assert cache.make_room(0, 200, []) == 0
    assert not part.exists()
    assert cache.known("s3://b/a.jpg") is not None
