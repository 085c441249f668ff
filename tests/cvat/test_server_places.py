"""What a server is asked before it takes pictures by itself, and the list that a bucket keeps of them."""

from __future__ import annotations

import posixpath
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.cvat import (
    JobInfo,
    ManifestPicture,
    Member,
    ServerPlace,
    add_to_manifest,
    assign_jobs,
    check_server_files,
    find_members,
    manifest_text,
    read_manifest,
)
from agir_cvtoolkit.errors import DataError, NotFoundError, PictureError

from .fakes import Call, FakeTransport, ok, opened, page

SHARE = ServerPlace()
BUCKET = ServerPlace(3, "manifest.jsonl")


def entries(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "type": "REG", "mime_type": "image"} for name in names]


def test_every_folder_of_the_share_is_asked_for_once() -> None:
    folders = {"/a": entries("1.jpg", "2.jpg"), "/a/b": entries("ü 3.jpg"), "/": entries("4.jpg")}
    transport = FakeTransport({"GET /api/server/share": lambda call: ok(folders[call.params["directory"]])})
    check_server_files(opened(transport), SHARE, ["a/1.jpg", "a/2.jpg", "a/b/ü 3.jpg", "4.jpg"])
    assert len(transport.of("GET /api/server/share")) == 3
    with pytest.raises(
        PictureError, match=r"'a/5\.jpg', 'a/6\.jpg', 'a/7\.jpg', 'a/8\.jpg', 'a/9\.jpg' and 1 more"
    ):
        check_server_files(opened(transport), SHARE, [f"a/{n}.jpg" for n in (1, 5, 6, 7, 8, 9, 10)])


def test_looking_for_pictures_in_as_many_folders_takes_no_longer_for_each() -> None:
    names = [f"{number}/a.jpg" for number in range(2000)]
    transport = FakeTransport({"GET /api/server/share": ok(entries("a.jpg"))})
    split: list[str] = []
    dirname = posixpath.dirname

    def counted(path: str) -> str:
        split.append(path)
        return dirname(path)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(posixpath, "dirname", counted)
        check_server_files(opened(transport), SHARE, names)
    assert len(split) <= 2 * len(names)


def test_a_folder_is_no_picture() -> None:
    listed = [{"name": "1.jpg", "type": "DIR", "mime_type": "DIR"}]
    transport = FakeTransport({"GET /api/server/share": ok(listed)})
    with pytest.raises(PictureError, match=r"1\.jpg"):
        check_server_files(opened(transport), SHARE, ["1.jpg"])


def test_a_folder_that_the_share_lacks_is_a_missing_picture() -> None:
    transport = FakeTransport({"GET /api/server/share": ok("a is an invalid directory", 400)})
    with pytest.raises(PictureError, match=r"a/1\.jpg"):
        check_server_files(opened(transport), SHARE, ["a/1.jpg"])


@pytest.mark.parametrize("answer", [page(404), ok({"detail": "no"}, 403), ok({"files": []})])
def test_a_server_that_does_not_let_one_look_is_taken_at_its_word_later(answer: object) -> None:
    transport = FakeTransport({"GET /api/server/share": answer})  # type: ignore[dict-item]
    check_server_files(opened(transport), SHARE, ["a/1.jpg", "2.jpg"])


@pytest.mark.parametrize("name", ["", "/a.jpg", "a/../b.jpg", "./a.jpg", "a//b.jpg", "a\\b.jpg", "x" * 1025])
def test_names_that_are_no_paths_there(name: str) -> None:
    transport = FakeTransport({"GET /api/server/share": ok(entries(name))})
    with pytest.raises(PictureError, match="cannot be the path"):
        check_server_files(opened(transport), SHARE, [name])
    assert transport.of("GET /api/server/share") == []


@pytest.mark.parametrize("full", [False, True])
def test_a_bucket_is_read_page_by_page_until_all_are_found(full: bool) -> None:
    """Whether names count from the folder or from the bucket's root."""
    names = [f"{'a/' if full else ''}{n:03d}.jpg" for n in range(100)]

    def content(call: Call) -> object:
        start = int(call.params.get("next_token", 0))
        following = str(start + 10) if start + 10 < len(names) else None
        return ok({"next": following, "content": entries(*names[start : start + 10])})

    transport = FakeTransport(
        {
            "GET /api/cloudstorages/3": ok({"id": 3, "resource": "pics"}),
            "GET /api/cloudstorages/3/content-v2": content,  # type: ignore[dict-item]
        }
    )
    check_server_files(opened(transport), ServerPlace(3), ["a/011.jpg", "a/025.jpg"])
    assert len(transport.of("GET /api/cloudstorages/3/content-v2")) == 3
    with pytest.raises(PictureError, match=r"a/100\.jpg"):
        check_server_files(opened(transport), ServerPlace(3), ["a/100.jpg"])


def test_a_manifest_is_asked_for_besides_the_bucket() -> None:
    def content(call: Call) -> object:
        known = ["1.jpg"] if "manifest_path" in call.params else ["1.jpg", "2.jpg"]
        return ok({"next": None, "content": entries(*known)})

    transport = FakeTransport(
        {
            "GET /api/cloudstorages/3": ok({"id": 3, "resource": "pics"}),
            "GET /api/cloudstorages/3/content-v2": content,  # type: ignore[dict-item]
        }
    )
    check_server_files(opened(transport), BUCKET, ["1.jpg"])
    with pytest.raises(PictureError, match=r"manifest 'manifest\.jsonl' of cloud storage 3: '2\.jpg'"):
        check_server_files(opened(transport), BUCKET, ["1.jpg", "2.jpg"])


# --- manifests ----------------------------------------------------------------------------------------------

paths = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1).filter(
        lambda part: part not in {".", ".."}
    ),
    min_size=1,
    max_size=3,
).map(lambda parts: "/".join(parts) + ".jpg")
pictures = st.builds(
    ManifestPicture, path=paths, width=st.integers(1, 99999), height=st.integers(1, 99999), checksum=st.none()
)


@given(st.lists(pictures, unique_by=lambda picture: picture.path))
def test_a_manifest_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, listed: list[ManifestPicture]
) -> None:
    path = tmp_path_factory.getbasetemp() / "manifest.jsonl"
    path.write_text(manifest_text(listed), encoding="utf-8")
    assert read_manifest(path) == tuple(listed)
    assert manifest_text(listed).isascii(), "whatever encoding the server reads it in"


def test_a_manifest_grows_and_is_left_alone_where_nothing_is_new(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    first, second = ManifestPicture("a/1.jpg", 10, 20), ManifestPicture("2.png", 30, 40)
    assert add_to_manifest(path, [first]) == 1
    assert add_to_manifest(path, [second, first]) == 1
    assert read_manifest(path) == (first, second)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    assert add_to_manifest(path, [first]) == 0
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    turned = ManifestPicture("a/1.jpg", 20, 10)
    assert add_to_manifest(path, [turned]) == 1
    assert read_manifest(path) == (turned, second)


def test_lines_that_others_wrote_keep_what_they_say(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    line = '{"name":"a","extension":".jpg","width":1,"height":2,"meta":{"related_images":["r.jpg"]},"checksum":"c"}'
    path.write_text(f'{{"version":"1.1"}}\n{{"type":"images"}}\n{line}\n')
    add_to_manifest(path, [ManifestPicture("b.jpg", 3, 4)])
    assert line in path.read_text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "junk",
        '{"version":"1.1"}\n{"type":"video"}\n',
        '{"version":"1.1"}\n{"type":"images"}\n{"name":"a"}\n',
        "1\n2\n",
    ],
)
def test_what_is_no_manifest_is_not_written_over(tmp_path: Path, text: str) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match="not a manifest"):
        add_to_manifest(path, [ManifestPicture("b.jpg", 3, 4)])
    assert path.read_text() == text


# --- people -------------------------------------------------------------------------------------------------

ANN, BOB = Member(1, "ann"), Member(2, "bob")


def job(number: int, **changes: object) -> JobInfo:
    known = {"id": number, "task_id": 1, "state": "new", "stage": "annotation", "type": "annotation"}
    return JobInfo(**{**known, "start_frame": number, "stop_frame": number, "updated_date": "", **changes})  # type: ignore[arg-type]


def test_members_are_found_by_exact_name_in_the_order_given() -> None:
    listed = [{"id": 1, "username": "ann"}, {"id": 2, "username": "bob"}, {"id": 3, "username": "anna"}]
    transport = FakeTransport({"GET /api/users": ok({"results": listed})})
    assert find_members(opened(transport), ["bob", "ann", "bob"]) == (BOB, ANN, BOB)
    with pytest.raises(NotFoundError, match="Did you mean 'anna'"):
        find_members(opened(transport), ["ann", "annna"])
    assert find_members(opened(FakeTransport()), []) == ()


def test_jobs_that_somebody_has_or_has_begun_keep_their_people_and_their_turn() -> None:
    def answer(call: Call) -> object:
        number = int(call.path.rpartition("/")[2])
        name = {1: "ann", 2: "bob"}[call.json["assignee"]]
        return ok({"id": number, "assignee": {"username": name}})

    transport = FakeTransport({f"PATCH /api/jobs/{n}": answer for n in range(9)})  # type: ignore[misc]
    jobs = [
        job(0),
        job(1, assignee="eve"),
        job(2),
        job(3, state="in progress"),
        job(4, type="ground_truth"),
        job(5),
    ]
    done = assign_jobs(opened(transport), jobs, [ANN, BOB], first=1)
    assert [one.assignee for one in done] == ["bob", "eve", "bob", None, None, "ann"]
    assert len([call for call in transport.calls if call.method == "PATCH"]) == 3
    assert assign_jobs(opened(FakeTransport()), jobs, []) == tuple(jobs)


def test_a_bucket_that_names_the_same_page_again_has_no_more() -> None:
    listed = {"content": [], "next": "page 2"}
    transport = FakeTransport(
        {"GET /api/cloudstorages/3": ok({"id": 3}), "GET /api/cloudstorages/3/content-v2": ok(listed)}
    )
    with pytest.raises(PictureError, match=r"a/1\.jpg"):
        check_server_files(opened(transport), ServerPlace(3), ["a/1.jpg"])
    assert len(transport.of("GET /api/cloudstorages/3/content-v2")) == 2
