"""Pictures that the server reaches itself, on its share or in a cloud storage: named, not sent."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agir_cvtoolkit.errors import FrameMapError, NotFoundError, PictureError, RefusedError
from agir_cvtoolkit.progress import Bar

from .frames import FrameMap
from .preparation import prepare
from .session import CvatSession
from .storages import find_storage, missing_keys
from .upload import PictureToSend, UploadOptions, shown_as

LONGEST_PATH = 1024
_MOST_NAMED = 5
_SAMPLES = 3


@dataclass(frozen=True)
class ServerPlace:
    """Where a server finds pictures by itself.

    Attributes:
        cloud_storage_id: of a storage that is registered with it; None for the share that is mounted there.
        manifest: key of the list of pictures in the storage; None where there is none, and the server looks
            into every picture for its size.
    """

    cloud_storage_id: int | None = None
    manifest: str | None = None

    @property
    def title(self) -> str:
        """What it is called in messages."""
        if self.cloud_storage_id is None:
            return "the server's share"
        return f"cloud storage {self.cloud_storage_id}"


def check_server_files(session: CvatSession, place: ServerPlace, names: Sequence[str]) -> None:
    """Check before anything is made that the server sees all pictures at their place.

    A server that does not let this account look is taken at its word later: the creation of the task fails.

    Raises:
        PictureError: a name cannot be a path there, or the server sees no such file.
        NotFoundError: there is no such storage, or it has no such manifest.
        RemoteError: of its kinds.
    """
    for name in names:
        parts = name.split("/")
        if not name or len(name) > LONGEST_PATH or {"", ".", ".."} & set(parts) or "\\" in name:
            raise PictureError(
                f"'{name}' cannot be the path of a picture in {place.title}",
                f"Paths there are relative, without '..', and have at most {LONGEST_PATH} characters.",
            )
    if place.cloud_storage_id is None:
        _refuse(missing_on_share(session, names), place.title, "Is cvat_upload.share.root the same folder?")
        return
    find_storage(session, place.cloud_storage_id)
    missing = missing_keys(session, place.cloud_storage_id, names)
    _refuse(
        missing, place.title, "Is cvat_upload.cloud.root the bucket's own folder, and cloud.prefix right?"
    )
    if place.manifest is not None:
        missing = missing_keys(session, place.cloud_storage_id, names, place.manifest)
        _refuse(
            missing,
            f"manifest '{place.manifest}' of {place.title}",
            "Add them: cvat_upload.cloud.write_manifest=true does where the bucket is mounted.",
        )


def missing_on_share(session: CvatSession, names: Sequence[str]) -> tuple[str, ...]:
    """Return the paths at which the server sees no file on its share, in the order given."""
    missing: set[str] = set()
    folders: dict[str, set[str]] = {}
    for name in names:
        folders.setdefault(posixpath.dirname(name), set()).add(name)
    for folder, wanted in folders.items():
        there = {posixpath.join(folder, found) for found in _share_folder(session, folder, wanted)}
        missing |= wanted - there
    return tuple(name for name in names if name in missing)


def take_from_server(
    session: CvatSession,
    task_id: int,
    place: ServerPlace,
    pictures: Sequence[PictureToSend],
    options: UploadOptions,
    bar: Bar,
) -> None:
    """Name all pictures to an empty task and wait until the server has prepared it.

    The frames get the order of `pictures` and their paths as names.

    Raises:
        RefusedError: the server does not take them; the text is the server's.
        DeadlineError: the server was not ready in time.
        RemoteError: of its kinds.
    """
    names = [picture.name for picture in pictures]
    content: dict[str, object] = {
        **shown_as(pictures, options),
        "sorting_method": "predefined",
        "server_files": names if place.manifest is None else [place.manifest, *names],
        "copy_data": False,
    }
    if place.cloud_storage_id is not None:
        content["cloud_storage_id"] = place.cloud_storage_id
    prepare(session, task_id, content, {}, options.deadline_s)
    bar.advance(len(pictures))


def check_originals(session: CvatSession, frames: FrameMap, pictures: Sequence[PictureToSend]) -> None:
    """Check of a few pictures that what the server took is, byte for byte, what lies here.

    Raises:
        FrameMapError: it is another picture.
        RemoteError: of its kinds.
    """
    known = [picture for picture in pictures if picture.sha256]
    for picture in known[:: max(1, -(-len(known) // _SAMPLES))]:
        frame = frames.frame_of(picture.name)
        subject = f"read the original of frame {frame} of task {frames.task_id}"
        params = {"type": "frame", "number": frame, "quality": "original"}
        path = f"/api/tasks/{frames.task_id}/data/"
        answer = session.request(
            "GET", path, subject, params=params, headers={"Accept": "*/*"}, timeout=300.0
        )
        if hashlib.sha256(answer.body).hexdigest() != picture.sha256:
            raise FrameMapError(
                f"Picture '{picture.name}' on the server is another than {picture.path}",
                "Bring them in line, or send the pictures: cvat_upload.transport=bytes.",
            )


def _share_folder(session: CvatSession, folder: str, wanted: set[str]) -> Iterator[str]:
    """Yield the names of files in a folder of the share; all that are wanted where nobody may look."""
    subject = f"list folder '{folder or '/'}' of the server's share"
    params = {"directory": f"/{folder}"}
    if len(wanted) == 1:
        params["search"] = posixpath.basename(next(iter(wanted)))
    try:
        items = session.get("/api/server/share", subject, params)
    except NotFoundError:
        items = None
    except RefusedError as error:
        if error.status == 400:  # no such folder
            return
        items = None
    if not isinstance(items, list):
        yield from (posixpath.basename(name) for name in wanted)
        return
    for item in items:
        if isinstance(item, dict) and item.get("type") == "REG":
            yield str(item.get("name"))


def _refuse(missing: Sequence[str], where: str, next_step: str) -> None:
    if missing:
        shown = ", ".join(f"'{name}'" for name in missing[:_MOST_NAMED])
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        raise PictureError(f"Not in {where}: {shown}{more}", next_step)
