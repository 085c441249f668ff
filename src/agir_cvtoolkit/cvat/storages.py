"""Cloud storages that are registered with a server, and what is in them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agir_cvtoolkit.errors import NotFoundError, RemoteError

from .session import CvatSession


@dataclass(frozen=True)
class StorageInfo:
    """A cloud storage.

    Attributes:
        resource: the name of the bucket or container.
        provider: such as ``AWS_S3_BUCKET``.
    """

    id: int
    name: str
    resource: str
    provider: str


def find_storages(session: CvatSession) -> tuple[StorageInfo, ...]:
    """Return the storages that this account sees, by id."""
    found = [_storage(item) for item in session.pages("/api/cloudstorages", "list cloud storages")]
    return tuple(sorted(found, key=lambda storage: storage.id))


def find_storage(session: CvatSession, storage_id: int) -> StorageInfo:
    """Return one storage.

    Raises:
        NotFoundError: there is none of that id for this account; the text names those that there are.
    """
    try:
        return _storage(session.get(f"/api/cloudstorages/{storage_id}", f"read cloud storage {storage_id}"))
    except NotFoundError as error:
        known = ", ".join(f"{s.id} ({s.name}: {s.resource})" for s in find_storages(session)) or "none"
        raise NotFoundError(
            f"Cloud storage {storage_id} not found",
            f"This account sees: {known}. Register the bucket in CVAT (Cloud storages), in the same "
            "organization as the project.",
            status=404,
        ) from error


def missing_keys(
    session: CvatSession, storage_id: int, keys: Sequence[str], manifest: str | None = None
) -> tuple[str, ...]:
    """Return the keys that a storage does not have, in the order given.

    Args:
        session: in the organization of the storage.
        storage_id: of a registered storage.
        keys: of files.
        manifest: look into this list of pictures instead of the bucket.

    Raises:
        NotFoundError: there is no such manifest.
        RemoteError: of its kinds; the server may not reach the bucket.
    """
    missing: set[str] = set()
    folders: dict[str, set[str]] = {}
    for key in keys:
        folders.setdefault(posixpath.dirname(key), set()).add(key)
    for folder, wanted in folders.items():
        for name in _names_in(session, storage_id, folder, manifest):
            # Names count from the folder that is listed; a server that counts from the root is understood too.
            wanted -= {posixpath.join(folder, name), name}
            if not wanted:
                break
        missing |= wanted
    return tuple(key for key in keys if key in missing)


def _names_in(session: CvatSession, storage_id: int, folder: str, manifest: str | None) -> Iterator[str]:
    subject = f"list folder '{folder or '/'}' of cloud storage {storage_id}"
    params: dict[str, object] = {"prefix": f"{folder}/" if folder else ""}
    if manifest is not None:
        params["manifest_path"] = manifest
    while True:
        try:
            answer = session.get(f"/api/cloudstorages/{storage_id}/content-v2", subject, params)
        except RemoteError as error:
            if manifest is not None and error.status in {400, 404}:
                raise NotFoundError(
                    f"Cloud storage {storage_id} has no manifest '{manifest}' ({error.problem})",
                    "Put it there (cvat_upload.cloud.write_manifest=true writes it where the bucket is "
                    "mounted), or set cvat_upload.cloud.manifest=null to do without.",
                    status=error.status,
                ) from error
            raise
        for item in answer.get("content", ()) if isinstance(answer, dict) else ():
            if isinstance(item, dict) and item.get("type") == "REG":
                yield str(item.get("name"))
        following = answer.get("next") if isinstance(answer, dict) else None
        if not following or following == params.get("next_token"):
            return
        params["next_token"] = following


def _storage(item: object) -> StorageInfo:
    data = item if isinstance(item, dict) else {}
    return StorageInfo(
        int(data.get("id") or 0),
        str(data.get("display_name") or ""),
        str(data.get("resource") or ""),
        str(data.get("provider_type") or ""),
    )
