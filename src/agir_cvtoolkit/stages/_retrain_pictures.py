"""Pictures of captures on this machine: fetched once, checked, and bounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import DataError, NotFoundError, PictureError
from agir_cvtoolkit.pictures import check, sha256_of
from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.runs import write_bytes

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.firebase import CaptureStore
    from agir_cvtoolkit.progress import Progress

MISSING = "its picture is not in the storage"
_MOST_BYTES = 256 * 2**20
"""Of one picture; one of 178 megapixels has fewer, however little it is compressed as JPEG."""


@dataclass(frozen=True)
class FetchedPicture:
    """A picture of a capture that was decoded without fault.

    Attributes:
        path: in the cache.
        sha256: of the file.
        size: width and height of the upright picture.
        bytes: of the file.
    """

    path: Path
    sha256: str
    size: tuple[int, int]
    bytes: int


def picture_folder(out_root: Path) -> Path:
    """Return the folder of the cache, beside that of all runs."""
    return out_root.parent / "capture_pictures"


def fetch_pictures(
    store: CaptureStore, capture_ids: Sequence[str], settings: Settings, progress: Progress
) -> tuple[dict[str, FetchedPicture], dict[str, str]]:
    """Bring pictures into the cache, several at a time; then what does not fit beside them goes.

    Args:
        store: that has them.
        capture_ids: the most important first: where the cache is too small the last ones are left out.
        settings: with the groups ``io``, ``firebase`` and ``retrain``.
        progress: told picture by picture.

    Returns:
        What was found by capture id, and for the others the reason.

    Raises:
        RemoteError: the store cannot be reached or refuses.
    """
    folder = picture_folder(settings.io.out_root)
    room = int(settings.retrain.cache_gb * 1e9)
    found: dict[str, FetchedPicture] = {}
    reasons: dict[str, str] = {}
    used = 0

    def one(capture_id: str) -> FetchedPicture | str:
        return _fetched(store, capture_id, folder, settings)

    workers = settings.firebase.parallel_requests
    with progress.bar("pictures", len(capture_ids)) as bar, ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(capture_ids), 4 * workers):
            group = capture_ids[start : start + 4 * workers]
            if used >= room:
                reasons |= dict.fromkeys(capture_ids[start:], no_room(settings))
                break
            for capture_id, outcome in zip(group, pool.map(one, group), strict=True):
                bar.advance()
                if isinstance(outcome, str):
                    reasons[capture_id] = outcome
                elif used + outcome.bytes > room:
                    reasons[capture_id] = no_room(settings)
                    outcome.path.unlink(missing_ok=True)
                else:
                    used += outcome.bytes
                    found[capture_id] = outcome
    _make_room(folder, room, {picture.path for picture in found.values()})
    return found, reasons


def cached_picture(out_root: Path, capture_id: str) -> Path:
    """Return where the picture of a capture lies in the cache; it need not be there."""
    return _path(picture_folder(out_root), capture_id)


def _fetched(store: CaptureStore, capture_id: str, folder: Path, settings: Settings) -> FetchedPicture | str:
    path = _path(folder, capture_id)
    cached = _checked(path, settings)
    if isinstance(cached, FetchedPicture):
        path.touch()  # the room is made by taking away what was not used for longest
        return cached
    try:
        write_bytes(path, store.picture(capture_id, _MOST_BYTES))
    except NotFoundError:
        return MISSING
    except PictureError as error:
        return error.problem
    outcome = _checked(path, settings)
    if isinstance(outcome, str):
        path.unlink(missing_ok=True)
    return outcome


def _checked(path: Path, settings: Settings) -> FetchedPicture | str:
    if not path.is_file():
        return "missing"
    try:
        info = check(path.read_bytes())  # whose name is no business of whoever reads the reason
    except DataError as error:
        return f"its picture is broken: {error.problem}"
    megapixels = info.width * info.height / 1e6
    if megapixels > settings.firebase.max_megapixels:
        return f"its picture has {megapixels:.0f} megapixels, more than firebase.max_megapixels"
    return FetchedPicture(path, sha256_of(path), info.size, path.stat().st_size)


def _path(folder: Path, capture_id: str) -> Path:
    return folder / f"{file_stem(capture_id)}.jpg"


def no_room(settings: Settings) -> str:
    """Return the reason why a picture is not in the cache for which there is no place."""
    return f"there is no room for its picture within retrain.cache_gb={settings.retrain.cache_gb:g}"


def _make_room(folder: Path, room: int, kept: set[Path]) -> None:
    """Remove the pictures that were not used for longest and are not needed now, until the rest fits."""
    if not folder.is_dir():
        return
    sizes: Mapping[Path, tuple[float, int]] = {
        path: (path.stat().st_mtime, path.stat().st_size) for path in folder.glob("*.jpg")
    }
    total = sum(size for _, size in sizes.values())
    for path, (_, size) in sorted(sizes.items(), key=lambda entry: entry[1]):
        if total <= room:
            return
        if path not in kept:
            path.unlink(missing_ok=True)
            total -= size
