"""From pairs to a data set folder: scaled, padded, cut, split and measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agir_cvtoolkit.config._training import Preprocess
from agir_cvtoolkit.errors import AgirError, DataError, MaskError
from agir_cvtoolkit.pictures import load_mask, load_rgb, sha256_of
from agir_cvtoolkit.progress import Progress, Silent
from agir_cvtoolkit.records import Item, file_stem
from agir_cvtoolkit.runs import atomic_path, discard, fingerprint, read_json_object, write_json

from .dataset import CLASSES, PICTURE_OF, SPLITS, STATS, TRAINED, PreparedDataset, open_dataset
from .pairs import BINARY, DatasetClass, Pair
from .splits import NAMES, split_groups
from .tiling import cut, resized, scaled_size

_STATE = ".state"
_UNKNOWN = "Add them to dataset/classes.json, or set preprocess.classes=binary."
_MORE_PAIRS = {
    "cvat_download": "Bring corrections: agir-cvtoolkit download-cvat",
    "inference_results": "Predict again with pictures and masks saved: agir-cvtoolkit infer-seg",
    "custom": "Check preprocess.source.custom_images_dir and custom_masks_dir.",
}
_REVISION = 1


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did.

    Attributes:
        items: records that were skipped or failed, with the reason.
        written: records whose tiles were written now; the others were there already.
    """

    dataset: PreparedDataset
    items: tuple[Item, ...]
    written: int


@dataclass(frozen=True)
class _Done:
    """One record, cut: what ``.state/<stem>.json`` holds.

    Attributes:
        tiles: names of its tiles.
        sums, squares: over the pixels of the scaled picture, per channel.
    """

    fingerprint: str
    tiles: tuple[str, ...]
    pixels: int
    sums: tuple[int, ...]
    squares: tuple[int, ...]


def prepare(
    pairs: Sequence[Pair],
    root: Path,
    settings: Preprocess,
    *,
    classes: Sequence[DatasetClass] | None = None,
    seed: int = 42,
    progress: Progress | None = None,
) -> Prepared:
    """Make a data set folder, or bring it up to date; what is there already is kept.

    One picture is in memory at a time. What fails for one record is listed, the rest goes on.

    Args:
        pairs: what to learn from.
        root: the folder, usually ``dataset/`` of a run; tiles of records that are not in `pairs` are removed.
        settings: the group ``preprocess``.
        classes: what the masks' values mean, background first; None takes every value other than 0 for plant.
        seed: of the split where ``preprocess.split.seed`` is null.
        progress: told record by record.

    Raises:
        DataError: no usable pair is left.
    """
    table = tuple(classes) if classes is not None else BINARY
    _check_classes(table)
    # Its absence says "unfinished" to whoever opens the folder.
    (root / STATS).unlink(missing_ok=True)
    done: dict[str, _Done] = {}
    used: list[Pair] = []
    items: list[Item] = []
    written, hint = 0, ""
    with (progress or Silent()).bar("preprocess", len(pairs)) as bar:
        for pair in sorted(pairs, key=lambda p: p.record_id):
            try:
                if pair.record_id in done:
                    raise DataError("the record is there twice")
                cut_now, found = _record(pair, root, settings, table, binary=classes is None)
            except AgirError as error:
                items.append(Item(pair.record_id, "failed", error.problem))
                hint = hint or error.next_step
            else:
                written += cut_now
                done[pair.record_id] = found
                if found.tiles:
                    used.append(pair)
                else:
                    items.append(Item(pair.record_id, "skipped", _why_nothing(settings)))
            bar.advance()
    if not used:
        reason = f": {items[0].record_id}: {items[0].reason}" if items else ""
        raise DataError(
            f"no usable pair of picture and mask{reason}", hint or _MORE_PAIRS[settings.source.type]
        )
    _sweep(root, done)
    _describe(root, used, done, settings, table, seed)
    return Prepared(open_dataset(root), tuple(items), written)


def _check_classes(classes: tuple[DatasetClass, ...]) -> None:
    ids = [c.id for c in classes]
    if len(ids) < 2 or ids[0] != 0 or len(set(ids)) != len(ids) or not all(0 <= i <= 255 for i in ids):
        raise DataError(
            f"class ids {ids} cannot be a data set's",
            "They begin with 0 for the background, are unique and at most 255.",
        )


def _why_nothing(settings: Preprocess) -> str:
    if settings.ignore_empty_data:
        return "nothing but background (preprocess.ignore_empty_data)"
    return "smaller than a tile (preprocess.pad.enabled is false)"


def _record(
    pair: Pair, root: Path, settings: Preprocess, classes: tuple[DatasetClass, ...], *, binary: bool
) -> tuple[bool, _Done]:
    if not pair.mask_path.is_file():
        raise MaskError(f"mask {pair.mask_path.name} is missing")
    stem = file_stem(pair.record_id)
    made_of = settings.model_dump(mode="json", exclude={"source", "split"})
    key = fingerprint(
        _REVISION,
        pair.sha256 or sha256_of(pair.image_path),
        sha256_of(pair.mask_path),
        made_of,
        [asdict(c) for c in classes],
        binary,
    )
    state_path = root / _STATE / f"{stem}.json"
    known = _known(state_path, key, root)
    if known is not None:
        return False, known
    # A state that outlived a killed rewrite would vouch for tiles of other settings.
    discard(state_path)
    image = load_rgb(pair.image_path)
    height, width = image.shape[:2]
    mask = _as_ids(load_mask(pair.mask_path, (width, height)), classes, binary=binary)
    size = scaled_size((width, height), settings)
    image, mask = resized(image, mask, size, settings.resize.interpolation.image)
    names = []
    for tile in cut(image, mask, settings):
        if settings.ignore_empty_data and not tile.mask.any():
            continue
        name = f"{stem}_x{tile.left}_y{tile.top}"
        _write_png(tile.image, root / "images" / f"{name}.png")
        _write_png(tile.mask, root / "masks" / f"{name}.png")
        names.append(name)
    found = _Done(key, tuple(names), image.shape[0] * image.shape[1], *_sums(image))
    write_json(state_path, asdict(found))
    return True, found


def _known(path: Path, key: str, root: Path) -> _Done | None:
    try:
        state = read_json_object(path)
        if state.get("fingerprint") != key:
            return None
        found = _Done(
            key, tuple(state["tiles"]), int(state["pixels"]), tuple(state["sums"]), tuple(state["squares"])
        )
    except (DataError, KeyError, TypeError, ValueError):
        return None
    there = all((root / kind / f"{n}.png").is_file() for n in found.tiles for kind in ("images", "masks"))
    return found if there else None


def _as_ids(mask: NDArray[np.uint8], classes: tuple[DatasetClass, ...], *, binary: bool) -> NDArray[np.uint8]:
    if binary:
        return np.where(mask != 0, np.uint8(255), np.uint8(0))
    held = set(np.flatnonzero(np.bincount(mask.reshape(-1), minlength=256)).tolist())
    strange = sorted(held - {c.id for c in classes})
    if strange:
        listed = ", ".join(map(str, strange[:5]))
        raise MaskError(
            f"the mask holds class ids {listed} that are not among the data set's classes", _UNKNOWN
        )
    return mask


def _sums(image: NDArray[np.uint8]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    values = np.arange(256, dtype=np.int64)
    counts = [np.bincount(image[..., c].reshape(-1), minlength=256) for c in range(3)]
    return (
        tuple(int((n * values).sum()) for n in counts),
        tuple(int((n * values * values).sum()) for n in counts),
    )


def _write_png(array: NDArray[np.uint8], path: Path) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray(np.ascontiguousarray(array)).save(temporary, format="PNG", compress_level=1)


def _sweep(root: Path, done: dict[str, _Done]) -> None:
    kept = {name for found in done.values() for name in found.tiles}
    for kind in ("images", "masks"):
        for path in (root / kind).glob("*.png"):
            if path.stem not in kept:
                discard(path)
    stems = {file_stem(record_id) for record_id in done}
    for path in (root / _STATE).glob("*.json"):
        if path.stem not in stems:
            discard(path)


def _describe(
    root: Path,
    used: Sequence[Pair],
    done: dict[str, _Done],
    settings: Preprocess,
    classes: tuple[DatasetClass, ...],
    seed: int,
) -> None:
    names: dict[str, list[str | None]] = {}
    for pair in used:
        names.setdefault(pair.group, []).append(pair.common_name)
    split = settings.split
    shares = (split.train, split.val, split.test) if split.enabled else (1.0, 0.0, 0.0)
    split_seed = seed if split.seed is None else split.seed
    splits = split_groups(names, shares, split_seed)
    sides: dict[str, list[str]] = {
        side: sorted(t for p in used if p.group in set(groups) for t in done[p.record_id].tiles)
        for side, groups in splits.groups.items()
    }
    content: dict[str, Any] = {
        "seed": split_seed,
        **sides,
        "groups": {side: list(splits.groups[side]) for side in NAMES},
        "warning": splits.warning,
    }
    listed = [{"id": c.id, "name": c.name} for c in classes]
    identity = fingerprint(sorted((r, d.fingerprint) for r, d in done.items()), content, listed)
    training = set(splits.groups["train"])
    mean, std = _statistics([done[p.record_id] for p in used if p.group in training])
    write_json(root / CLASSES, read_json_object(root / CLASSES) | {TRAINED: listed})
    # Beside what the fingerprint stands for: it follows from it.
    picture_of = {tile: pair.group for pair in used for tile in done[pair.record_id].tiles}
    write_json(root / SPLITS, content | {PICTURE_OF: picture_of})
    stats = {
        "fingerprint": identity,
        "pictures": len(names),
        "records": len(used),
        "tiles": {side: len(found) for side, found in sides.items()},
        "tile_size": [settings.size.height, settings.size.width],
        "scale": settings.scale,
        "max_side": settings.max_side,
        "rgb_mean": mean,
        "rgb_std": std,
    }
    write_json(root / STATS, stats)


def _statistics(records: Sequence[_Done]) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation per channel in [0, 1], exact but for the last rounding."""
    pixels = sum(r.pixels for r in records)
    mean, std = [], []
    for channel in range(3):
        total = sum(r.sums[channel] for r in records)
        squares = sum(r.squares[channel] for r in records)
        mean.append(total / pixels / 255)
        std.append(math.sqrt(max(0, squares * pixels - total * total)) / pixels / 255)
    return mean, std
