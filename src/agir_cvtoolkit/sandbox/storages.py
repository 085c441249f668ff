"""What the server reaches by itself: the share that is mounted there, and cloud storages, played by folders."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import orjson
from starlette.responses import Response

from .access import basic_user
from .answers import PageRefusal, Refusal, not_found, reply
from .calls import Call
from .lists import list_answer
from .store import Json, now

_LARGEST_PAGE = 500
_SHOWN = (
    "id",
    "manifests",
    "created_date",
    "updated_date",
    "provider_type",
    "resource",
    "display_name",
    "credentials_type",
    "specific_attributes",
    "description",
    "organization",
)
_PROVIDERS = ("AWS_S3_BUCKET", "AZURE_CONTAINER", "GOOGLE_CLOUD_STORAGE")
_CREDENTIALS = (
    "KEY_SECRET_KEY_PAIR",
    "ACCOUNT_NAME_TOKEN_PAIR",
    "KEY_FILE_PATH",
    "ANONYMOUS_ACCESS",
    "CONNECTION_STRING",
)


def show_share(call: Call) -> Response:
    """Answer ``GET /api/server/share``: one folder of the share, folders first."""
    asked = call.query.get("directory", "/").removeprefix("/")
    share = call.world.options.share
    folder = None if share is None else _below(share, asked)
    if folder is None or not folder.is_dir():
        raise Refusal(400, f"{asked} is an invalid directory")
    search = call.query.get("search", "")
    found = [_entry(path) for path in folder.iterdir() if path.name.startswith(search)]
    return reply(sorted(found, key=lambda item: (item["type"], item["name"])))


def list_storages(call: Call) -> Response:
    """Answer ``GET /api/cloudstorages``."""
    return list_answer(
        call,
        call.store.all("cloudstorage"),
        lambda s: (
            {key: s[key] for key in ("id", "provider_type", "display_name", "resource", "credentials_type")}
            | {"name": s["display_name"]}
        ),
        lambda s: _view(call, s),
    )


def create_storage(call: Call) -> Response:
    """Answer ``POST /api/cloudstorages``: the bucket must be one of the sandbox's."""
    spec = call.json_object()
    for key in ("provider_type", "resource", "display_name", "credentials_type"):
        if not spec.get(key):
            raise Refusal(400, {key: ["This field is required."]})
    for key, allowed in (("provider_type", _PROVIDERS), ("credentials_type", _CREDENTIALS)):
        if spec[key] not in allowed:
            raise Refusal(400, {key: [f'"{spec[key]}" is not a valid choice.']})
    bucket = call.world.options.buckets.get(str(spec["resource"]))
    if bucket is None:
        raise Refusal(
            400, {"resource": f"The resource {spec['resource']} not found. It may have been deleted."}
        )
    manifests = [str(name) for name in spec.get("manifests") or ()]
    for name in manifests:
        if not (bucket / name).is_file():
            text = f"The '{name}' file does not exist on '{spec['resource']}' cloud storage"
            raise Refusal(400, {"manifests": text})
    at = now()
    storage: Json = {
        "id": call.store.next_id("cloudstorage"),
        "owner_id": call.user["id"],
        "created_date": at,
        "updated_date": at,
        "organization": call.context.organization,
        "manifests": manifests,
        "specific_attributes": spec.get("specific_attributes") or "",
        "description": spec.get("description") or "",
        **{key: spec[key] for key in ("provider_type", "resource", "display_name", "credentials_type")},
    }
    call.store.put("cloudstorage", storage["id"], storage)
    return reply(_view(call, storage), 201)


def show_storage(call: Call) -> Response:
    """Answer ``GET /api/cloudstorages/ID``."""
    return reply(_view(call, _storage(call)))


def remove_storage(call: Call) -> Response:
    """Answer ``DELETE /api/cloudstorages/ID``."""
    call.store.remove("cloudstorage", _storage(call)["id"])
    return Response(status_code=204)


def show_status(call: Call) -> Response:
    """Answer ``GET /api/cloudstorages/ID/status``."""
    folder = call.world.options.buckets.get(_storage(call)["resource"])
    return reply("AVAILABLE" if folder is not None and folder.is_dir() else "NOT_FOUND")


def show_actions(call: Call) -> Response:
    """Answer ``GET /api/cloudstorages/ID/actions``."""
    _storage(call)
    return reply(["read", "write"])


def show_content(call: Call) -> Response:
    """Answer ``GET /api/cloudstorages/ID/content-v2``: one folder of a bucket, or of one of its manifests."""
    storage = call.store.get("cloudstorage", call.key)
    if storage is None:
        raise Refusal(500, "An internal error has occurred")
    bucket = _bucket(call, storage)
    manifest = call.query.get("manifest_path")
    if manifest:
        path = _below(bucket, manifest)
        if path is None or not path.is_file():
            raise Refusal(
                404, f"The file '{manifest}' not found on the cloud storage '{storage['resource']}'"
            )
        keys: Iterable[str] = manifest_keys(path, manifest)
    else:
        keys = keys_of(bucket)
    prefix = call.query.get("prefix", "").removeprefix("/")
    folder = prefix.rpartition("/")[0]
    start = f"{folder}/" if folder else ""
    files: set[str] = set()
    folders: set[str] = set()
    for key in keys:
        if key.startswith(prefix):
            name, slash, _ = key[len(start) :].partition("/")
            (folders if slash else files).add(name)
    entries = [_named(name, "DIR") for name in sorted(folders)]
    entries += [_named(name, "REG") for name in sorted(files)]
    asked = call.query.get("page_size", str(_LARGEST_PAGE))
    if not asked.isdigit():
        raise Refusal(400, "Wrong value for page_size was found")
    size = max(1, min(int(asked), _LARGEST_PAGE))
    token = call.query.get("next_token", "0")
    first = int(token) if token.isdigit() else 0
    following = str(first + size) if first + size < len(entries) else None
    return reply({"next": following, "content": entries[first : first + size]})


def named_files(call: Call, fields: Json) -> Json | None:
    """Return where the files of a new task lie that its request names, and None where it names none.

    Raises:
        Refusal: 400 for an unknown storage, 500 for a file that is named twice.
    """
    names = fields.get("server_files") or []
    cloud = fields.get("cloud_storage_id")
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise Refusal(400, {"server_files": ["Not a valid string."]})
    if len(set(names)) != len(names):
        raise PageRefusal(500)
    if cloud is not None:
        storage = call.store.get("cloudstorage", cloud) if isinstance(cloud, int) else None
        if storage is None:
            raise Refusal(400, ["CloudStorage matching query does not exist."])
        return {"base": str(_bucket(call, storage)), "names": names, "storage": storage["resource"]}
    if not names:
        return None
    share = call.world.options.share or Path("/nonexistent-share")
    copied = fields.get("copy_data") in {True, "true", "True", "1"}
    return {"base": str(share), "names": names, "storage": None, "copy": copied}


def keys_of(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def manifest_keys(path: Path, key: str) -> list[str]:
    """Return the keys that a manifest lists, whose names count from its own folder.

    Raises:
        Refusal: 500, it is none.
    """
    folder = PurePosixPath(key).parent
    try:
        lines = [orjson.loads(line) for line in path.read_bytes().splitlines()[2:] if line.strip()]
        return [(folder / f"{line['name']}{line['extension']}").as_posix() for line in lines]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Refusal(500, "An internal error has occurred") from error


def _storage(call: Call) -> Json:
    found = call.store.get("cloudstorage", call.key)
    if found is None:
        raise not_found("CloudStorage")
    return found


def _bucket(call: Call, storage: Json) -> Path:
    return call.world.options.buckets.get(storage["resource"], Path("/nonexistent-bucket"))


def _below(root: Path, name: str) -> Path | None:
    path = (root / name).resolve()
    return path if path.is_relative_to(root.resolve()) else None


def _entry(path: Path) -> Json:
    return _named(path.name, "DIR" if path.is_dir() else "REG")


def _named(name: str, kind: str) -> Json:
    return {"name": name, "type": kind, "mime_type": "DIR" if kind == "DIR" else media_kind(name)}


def media_kind(name: str) -> str:
    """Return what the server takes a file for by its name."""
    kind = mimetypes.guess_type(name)[0] or ""
    if kind.startswith("image/") and not kind.startswith("image/svg"):
        return "image"
    return "video" if kind.startswith("video/") else "unknown"


def _view(call: Call, storage: Json) -> Json:
    return {key: storage[key] for key in _SHOWN} | {"owner": basic_user(call, storage["owner_id"])}
