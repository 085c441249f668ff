"""Archives that want to hurt are refused, with their name in the error."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from agir_cvtoolkit.cvat import archives
from agir_cvtoolkit.cvat.archives import opened_member, unpack
from agir_cvtoolkit.errors import DataError


def archive(path: Path, members: dict[str, bytes], *, packed: bool = True) -> Path:
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return path


def content(path: Path) -> bytes:
    with opened_member(path, "a.xml", "Export it again.") as stream:
        return b"".join(iter(lambda: stream.read(1000), b""))


@pytest.mark.parametrize("place", ["", "deep/er/"])
def test_a_file_is_found_in_whatever_folder(tmp_path: Path, place: str) -> None:
    path = archive(tmp_path / "a.zip", {"b.xml": b"no", f"{place}a.xml": b"yes" * 5000})
    assert content(path) == b"yes" * 5000
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize(
    "name", ["../a.png", "x/../../a.png", "/etc/passwd", "C:/a.png", "..\\a.png", "\\\\host\\a.png"]
)
def test_an_archive_that_escapes_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "evil.zip", {"a.xml": b"x", name: b"y"})
    with pytest.raises(DataError, match=r"evil\.zip escapes its folder"):
        content(path)


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as zipped:
        link = zipfile.ZipInfo("a.xml")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="escapes"):
        content(tmp_path / "evil.zip")


def test_an_archive_that_explodes_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """A thousandfold, as much as the format can; what is small may be packed as well as it likes."""
    path = archive(tmp_path / "bomb.zip", {"a.xml": bytes(archives.UNSUSPECTED + 1)})
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"bomb\.zip explodes"):
        content(path)
    assert len(content(archive(tmp_path / "small.zip", {"a.xml": bytes(1_000_000)}))) == 1_000_000


def test_what_is_too_large_is_refused_before_and_while_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(tmp_path / "a.zip", {"a.xml": bytes(3000)}, packed=False)
    monkeypatch.setattr(archives, "LARGEST_UNPACKED", 2999)
    with pytest.raises(DataError, match="explodes"):
        content(path)
    # One that lies about its size is stopped on the way.
    monkeypatch.setattr(archives, "_check_size", lambda *_: None)
    with pytest.raises(DataError, match="explodes"):
        content(path)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    path = archive(tmp_path / "a.zip", dict.fromkeys(("a.xml", "b", "c"), b""))
    with pytest.raises(DataError, match="holds 3 files"):
        content(path)


@pytest.mark.parametrize("damage", ["cut", "junk", "nothing", "no zip"])
def test_a_damaged_archive_is_one_error(tmp_path: Path, damage: str) -> None:
    path = archive(tmp_path / "a.zip", {"a.xml": bytes(range(256)) * 400})
    whole = path.read_bytes()
    path.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "junk": whole[:60] + b"junk" * 20 + whole[140:],
            "nothing": b"",
            "no zip": b"<html>",
        }[damage]
    )
    with pytest.raises(DataError, match=r"a\.zip"):
        content(path)


def test_an_archive_without_the_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no a\.xml"):
        content(archive(tmp_path / "a.zip", {"b.xml": b""}))


def files_in(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_a_killed_call_left_half_unpacked_is_removed(tmp_path: Path) -> None:
    for name in (
        ".run [1].0a1b2c3d.part",
        ".run [1].0a1b2c3d.old",
        ".run.0a1b2c3d.part",
        ".run [1].0a1b2c3d.tmp",
    ):
        (tmp_path / name / "deep").mkdir(parents=True)
    unpack(archive(tmp_path / "a.zip", {"a.xml": b"1"}), tmp_path / "run [1]")
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == [".run [1].0a1b2c3d.tmp", ".run.0a1b2c3d.part", "a.zip", "run [1]"]


def test_a_whole_archive_is_unpacked_and_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    assert unpack(archive(tmp_path / "a.zip", {"a.xml": b"1", "deep/b.png": b"2"}), folder) == 2
    assert files_in(folder) == {"a.xml": b"1", "deep/b.png": b"2"}
    assert unpack(archive(tmp_path / "b.zip", {"c.xml": b"3"}), folder) == 1
    assert files_in(folder) == {"c.xml": b"3"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "b.zip", "export"]


@pytest.mark.parametrize(
    "name", ["../a.png", "x/../../a.png", "/etc/passwd", "C:/a.png", "..\\a.png", "\\\\host\\a.png"]
)
def test_an_archive_that_escapes_is_not_unpacked(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in" / "export"
    with pytest.raises(DataError, match="escapes"):
        unpack(archive(tmp_path / "evil.zip", {"a.xml": b"x", name: b"y"}), folder)
    assert not [p for p in tmp_path.rglob("*") if p.name != "evil.zip" and p.is_file()]


def test_links_bombs_doubles_and_damage_are_not_unpacked(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as zipped:
        zipped.writestr(link, "/etc")
    archive(tmp_path / "bomb.zip", {"a": b"\0" * (archives.UNSUSPECTED + 1)})
    # A file twice, by its name in the directory and in its own head alike.
    double = archive(tmp_path / "double.zip", {"a": b"1", "b": b"2"}, packed=False)
    double.write_bytes(double.read_bytes().replace(b"b", b"a"))
    (tmp_path / "damaged.zip").write_bytes(b"PK\x03\x04 and no more")
    for name in ("link", "bomb", "double", "damaged"):
        with pytest.raises(DataError):
            unpack(tmp_path / f"{name}.zip", folder)
    assert not folder.exists()
    assert len(list(tmp_path.iterdir())) == 4
