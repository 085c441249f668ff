"""Pushing to a server that is kind, and to one that is not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agir_cvtoolkit.cvat import (
    CvatSession,
    FrameMap,
    OriginalWanted,
    PictureToSend,
    TaskRequest,
    UploadOptions,
    create_task,
    create_task_with_pictures,
    delete_task,
    download_original,
    download_originals,
    find_jobs,
    find_tasks,
    get_task,
)
from agir_cvtoolkit.errors import (
    FrameMapError,
    NotFoundError,
    PictureError,
    RefusedError,
    RemoteError,
    ServerFaultError,
)
from agir_cvtoolkit.progress import Bar, Silent
from agir_cvtoolkit.sandbox import Fault, Sandbox

pytestmark = pytest.mark.integration
Pictures = Callable[[int], list[PictureToSend]]
SMALL_GROUPS = UploadOptions(group_files=2, in_flight=3)


def push(session: CvatSession, project_id: int, pictures: list[PictureToSend]) -> FrameMap:
    made = create_task_with_pictures(
        session, TaskRequest("push-1 a", project_id), pictures, options=SMALL_GROUPS
    )
    return made.frame_map


def test_frames_have_the_order_of_the_pictures_over_all_groups(
    session: CvatSession, project_id: int, pictures: Pictures
) -> None:
    sent = pictures(7)
    created: list[int] = []
    made = create_task_with_pictures(
        session, TaskRequest("push-1 a", project_id), sent, created.append, options=SMALL_GROUPS
    )
    assert [entry.name for entry in made.frame_map.entries] == [picture.name for picture in sent]
    assert [(entry.width, entry.height) for entry in made.frame_map.entries] == [
        (40 + n, 30) for n in range(7)
    ]
    assert created == [made.task_id]
    assert made.url == f"{session.url}/tasks/{made.task_id}"
    assert get_task(session, made.task_id).size == 7


def test_originals_come_back_byte_for_byte(
    session: CvatSession, project_id: int, pictures: Pictures, tmp_path: Path
) -> None:
    sent = pictures(3)
    frames = push(session, project_id, sent)
    wanted = [
        OriginalWanted(entry.frame, tmp_path / "back" / f"{entry.frame}.png") for entry in frames.entries
    ]
    assert download_originals(session, frames.task_id, wanted) == {}
    for (_, path), picture in zip(((w.frame, w.path) for w in wanted), sent, strict=True):
        assert path.read_bytes() == picture.path.read_bytes()
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["0.png", "1.png", "2.png"]


def test_an_original_that_does_not_exist_leaves_no_file(
    session: CvatSession, project_id: int, pictures: Pictures, tmp_path: Path
) -> None:
    frames = push(session, project_id, pictures(1))
    with pytest.raises(RemoteError):
        download_original(session, frames.task_id, 99, tmp_path / "back" / "x.png")
    assert list((tmp_path / "back").iterdir()) == []


def test_segments_make_several_jobs(session: CvatSession, project_id: int, pictures: Pictures) -> None:
    made = create_task_with_pictures(session, TaskRequest("t", project_id, segment_size=2), pictures(5))
    jobs = find_jobs(session, task_ids=[made.task_id], required_status=None)
    assert [list(job.frames) for job in jobs] == [[0, 1], [2, 3], [4]]


def test_the_plain_path_sends_no_more_than_it_must(
    sandbox: Sandbox, session: CvatSession, project_id: int, pictures: Pictures
) -> None:
    sandbox.forget_requests()
    push(session, project_id, pictures(4))
    asked = [f"{seen.method} {seen.target.partition('?')[0]}" for seen in sandbox.requests()]
    polls = [line for line in asked if "/api/requests/" in line]
    assert len(asked) - len(polls) == 1 + 1 + 2 + 1 + 1  # task, start, two groups, finish, frames


def test_a_broken_picture_fails_with_the_servers_words_and_leaves_no_task(
    session: CvatSession, project_id: int, pictures: Pictures
) -> None:
    sent = pictures(2)
    sent[1].path.write_bytes(b"not a picture")
    deleted: list[int] = []
    with pytest.raises(RefusedError, match="cannot identify image"):
        create_task_with_pictures(session, TaskRequest("t", project_id), sent, on_deleted=deleted.append)
    assert find_tasks(session, project_id=project_id) == ()
    assert len(deleted) == 1


def test_a_picture_of_another_size_is_found_and_leaves_no_task(
    session: CvatSession, project_id: int, pictures: Pictures
) -> None:
    sent = pictures(2)
    sent[1] = replace(sent[1], width=sent[1].height, height=sent[1].width)
    with pytest.raises(FrameMapError, match="EXIF"):
        push(session, project_id, sent)
    assert find_tasks(session, project_id=project_id) == ()


def test_names_are_checked_before_anything_is_made(
    session: CvatSession, project_id: int, pictures: Pictures, tmp_path: Path
) -> None:
    first, second = pictures(2)
    gone = tmp_path / "gone.png"
    empty = tmp_path / "empty.png"
    empty.touch()
    for bad, text in (
        ([first, replace(second, name=first.name)], "Several pictures"),
        ([replace(first, name="../a.png")], "no folders"),
        ([replace(first, path=gone)], "cannot be read"),
        ([replace(first, path=empty)], "0 bytes"),
        ([], "no pictures"),
    ):
        with pytest.raises(PictureError, match=text):
            create_task_with_pictures(session, TaskRequest("t", project_id), bad)
    assert find_tasks(session, project_id=project_id) == ()


def test_a_missing_project_is_named(session: CvatSession, pictures: Pictures) -> None:
    with pytest.raises(NotFoundError, match="Project 4711 not found"):
        create_task_with_pictures(session, TaskRequest("t", 4711), pictures(1))


@pytest.mark.parametrize("action", ["cut_before", "cut_after", "status"])
def test_a_lost_answer_to_the_new_task_makes_no_twin(
    sandbox: Sandbox, session: CvatSession, project_id: int, pictures: Pictures, action: str
) -> None:
    sandbox.add_fault(Fault(r"/api/tasks(\?|$)", action, method="POST", status=502))  # type: ignore[arg-type]
    sandbox.forget_requests()
    push(session, project_id, pictures(2))
    assert len(find_tasks(session, project_id=project_id)) == 1
    posts = [seen for seen in sandbox.requests() if (seen.method, seen.target) == ("POST", "/api/tasks")]
    assert len(posts) == (1 if action == "cut_after" else 2)


@pytest.mark.parametrize("action", ["cut_before", "cut_after", "status"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_any_lost_answer_of_the_upload_ends_in_one_whole_task(
    sandbox: Sandbox, session: CvatSession, project_id: int, pictures: Pictures, action: str, nth: int
) -> None:
    # Start, two groups, finish.
    fault = Fault(r"/data/?(\?|$)", action, method="POST", nth=nth, status=502)  # type: ignore[arg-type]
    sandbox.add_fault(fault)
    sent = pictures(4)
    frames = push(session, project_id, sent)
    assert [entry.name for entry in frames.entries] == [picture.name for picture in sent]
    assert [task.id for task in find_tasks(session, project_id=project_id)] == [frames.task_id]


@pytest.mark.parametrize("path", ["/api/requests/", "/data/meta"])
def test_bad_moments_while_reading_do_not_matter(
    sandbox: Sandbox, session: CvatSession, project_id: int, pictures: Pictures, path: str
) -> None:
    sandbox.add_fault(Fault(path, "cut_within"))
    sandbox.add_fault(Fault(path, "status", nth=2, status=503))
    sandbox.add_fault(Fault(path, "status", nth=3, status=429, retry_after=1))
    assert len(push(session, project_id, pictures(2)).entries) == 2


def test_a_request_that_the_server_forgot_is_looked_up_at_the_task(
    sandbox: Sandbox, session: CvatSession, project_id: int, pictures: Pictures
) -> None:
    sandbox.add_fault(Fault("/api/requests/", "status", status=404, times=0, body="json"))
    assert len(push(session, project_id, pictures(2)).entries) == 2


def test_a_server_that_always_loses_groups_leaves_no_task(
    sandbox: Sandbox, session: CvatSession, project_id: int, pictures: Pictures
) -> None:
    # Every request with data but the first of each try fails.
    sandbox.add_fault(Fault(r"/data/?(\?|$)", "status", method="POST", nth=2, times=0, status=500))
    created: list[int] = []
    deleted: list[int] = []
    with pytest.raises(ServerFaultError):
        create_task_with_pictures(
            session, TaskRequest("t", project_id), pictures(2), created.append, on_deleted=deleted.append
        )
    assert find_tasks(session, project_id=project_id) == ()
    assert created == deleted
    assert len(created) >= 1


def test_too_large_for_the_server_is_said_and_leaves_no_task(
    sandbox: Sandbox, session: CvatSession, project_id: int, pictures: Pictures
) -> None:
    sandbox.add_fault(Fault(r"/data/?(\?|$)", "status", method="POST", nth=2, status=413))
    with pytest.raises(RefusedError, match="too large"):
        push(session, project_id, pictures(2))
    assert find_tasks(session, project_id=project_id) == ()


def test_ctrl_c_leaves_no_task(session: CvatSession, project_id: int, pictures: Pictures) -> None:
    class Interrupting(Silent):
        def bar(self, description: str, total: int) -> AbstractContextManager[Bar]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create_task_with_pictures(session, TaskRequest("t", project_id), pictures(2), progress=Interrupting())
    assert find_tasks(session, project_id=project_id) == ()


def test_a_half_made_task_that_stays_is_named(
    sandbox: Sandbox, session: CvatSession, project_id: int, pictures: Pictures
) -> None:
    sandbox.add_fault(Fault("/api/tasks/", "status", method="DELETE", status=403, times=0, body="json"))
    sent = pictures(1)
    sent[0].path.write_bytes(b"not a picture")
    with pytest.raises(RefusedError) as caught:
        push(session, project_id, sent)
    (left,) = find_tasks(session, project_id=project_id)
    assert session.task_url(left.id) in str(caught.value)


def test_the_ledger_knows_a_task_before_its_data(
    sandbox: Sandbox, session: CvatSession, project_id: int, pictures: Pictures
) -> None:
    class LedgerFullError(Exception):
        pass

    def refuse(task_id: int) -> None:
        assert get_task(session, task_id).size == 0
        raise LedgerFullError

    sandbox.forget_requests()
    with pytest.raises(LedgerFullError):
        create_task_with_pictures(session, TaskRequest("t", project_id), pictures(1), refuse)
    assert not any("/data" in seen.target for seen in sandbox.requests())
    assert find_tasks(session, project_id=project_id) == ()


def test_tasks_are_found_by_exact_name_and_deleted_twice(session: CvatSession, project_id: int) -> None:
    one = create_task(session, TaskRequest("abc", project_id))
    create_task(session, TaskRequest("abcd", project_id))
    assert [task.id for task in find_tasks(session, name="abc", project_id=project_id)] == [one.id]
    assert one.id in [task.id for task in find_tasks(session, name="abc")]
    assert len(find_tasks(session, project_id=project_id)) == 2
    delete_task(session, one.id)
    delete_task(session, one.id)
    with pytest.raises(NotFoundError, match=f"Task {one.id} not found"):
        get_task(session, one.id)


def test_memory_does_not_grow_with_the_pictures(
    session: CvatSession, project_id: int, tmp_path: Path
) -> None:
    from agir_cvtoolkit.cvat.multipart import FilePart, MultipartBody

    paths = []
    for number in range(4):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(np.random.default_rng(number).bytes(3_000_001))
        paths.append(path)
    body = MultipartBody(
        {"image_quality": "95"}, [FilePart(f"f[{i}]", p.name, p) for i, p in enumerate(paths)]
    )
    pieces = [len(piece) for piece in body]
    assert sum(pieces) == body.length
    assert max(pieces) <= 1024 * 1024
    assert b"".join(body) == b"".join(body)
