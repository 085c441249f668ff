"""Folders of masks: one PNG or TIFF for each picture, whose values are class ids or whose colours are classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from PIL import Image

from agir_cvtoolkit import masks
from agir_cvtoolkit.errors import DataError, MaskError, PictureError
from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture, LabelledSet, Provenance
from agir_cvtoolkit.pictures import glance, load_mask, load_rgb
from agir_cvtoolkit.shapes import Mask

from .reading import PICTURE_SUFFIXES, Incoming, PictureFinder, Problems

_MASKS = (".png", ".tif", ".tiff", ".bmp")
_SPLITS = ("train", "val", "test")
_MOST_BYTES = 1024**2
_Class = tuple[LabelEntry, tuple[int, int, int] | None]


def read_masks(path: Path, pictures: Path | None) -> Incoming:
    """Read a folder of masks.

    ``classes.json`` beside them names the values; CamVid's ``label_colors.txt`` or CVAT's ``labelmap.txt`` names
    colours, and then masks are read by colour. Without either, value 7 is the label ``7``.

    Args:
        path: the folder of masks, or one with ``masks/`` and ``images/`` in it, or one of CamVid's.
        pictures: the folder of pictures, where it is not ``images/``.

    Raises:
        DataError: there is no mask, or the classes cannot be read.
    """
    problems = Problems()
    classes = _classes(path)
    found = _masks(path)
    if not found:
        raise DataError(f"there is no mask in {path}", f"Masks end in {', '.join(_MASKS)}.")
    folders = [pictures] if pictures is not None else [path / "images", path]
    finder = PictureFinder(folders)
    colours = {colour: label for label, colour in classes if colour is not None}
    by_value: dict[int | None, LabelEntry] = {
        label.value: label for label, colour in classes if colour is None and label.value
    }
    labels = [label for label, colour in classes if colour is None or label.value != 0]
    if not classes:
        values = sorted({value for _, mask in found for value in _values(mask)})
        by_value = {value: LabelEntry(str(value), "mask", value=value) for value in values}
        labels = list(by_value.values())

    def read() -> Iterator[LabelledPicture]:
        for relative, mask in found:
            labelled = _picture(relative, mask, finder, colours, by_value, problems)
            if labelled is not None:
                yield labelled

    return Incoming(LabelledSet(path.name, tuple(labels), len(found), read), problems)


def _masks(path: Path) -> list[tuple[PurePosixPath, Path]]:
    """Return the masks below a folder, each with the path of its picture without suffix."""
    camvid = [folder for folder in sorted(path.glob("*annot")) if folder.is_dir()]
    voc = path / "SegmentationClass"
    if camvid:
        roots = [(folder, folder.name.removesuffix("annot")) for folder in camvid]
    elif (path / "masks").is_dir():
        roots = [(path / "masks", "")]
    elif voc.is_dir():
        roots = [(voc, "")]
    else:
        roots = [(path, "")]
    found = []
    for root, split in roots:
        for mask in sorted(root.rglob("*")):
            if mask.suffix.lower() in _MASKS and not mask.name.startswith(".") and mask.is_file():
                below = PurePosixPath(mask.relative_to(root).as_posix()).with_suffix("")
                found.append((PurePosixPath(split, below), mask))
    return found


def _classes(path: Path) -> list[_Class]:
    for folder in (path, path.parent):
        for name, read in (
            ("classes.json", _by_value),
            ("label_colors.txt", _by_colour),
            ("labelmap.txt", _voc),
        ):
            file = folder / name
            if file.is_file():
                if file.stat().st_size > _MOST_BYTES:
                    raise DataError(f"{file} is larger than {_MOST_BYTES:,} bytes", "Is it a list of labels?")
                try:
                    return read(file)
                except (ValueError, KeyError, TypeError) as error:
                    raise DataError(
                        f"{file} cannot be understood: {error}", "See docs/formats.md."
                    ) from error
    return []


def _by_value(path: Path) -> list[_Class]:
    content: Any = orjson.loads(path.read_bytes())
    found: list[_Class] = []
    for entry in content["classes"]:
        value = int(entry["id"])
        if value:
            found.append((LabelEntry(str(entry["name"]), "mask", entry.get("color"), value), None))
    if len({label.value for label, _ in found}) != len(found) or len(
        {label.name for label, _ in found}
    ) != len(found):
        raise ValueError("an id or a name is there twice")
    return found


def _by_colour(path: Path) -> list[_Class]:
    lines = [line.split(maxsplit=3) for line in path.read_text(encoding="utf-8").splitlines()]
    return _coloured(
        [(" ".join(words[3:]), tuple(map(int, words[:3]))) for words in lines if len(words) == 4]
    )


def _voc(path: Path) -> list[_Class]:
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
    ]
    parts = [line.split(":") for line in lines]
    return _coloured(
        [(one[0], tuple(map(int, one[1].split(",")))) for one in parts if len(one) > 1 and one[1]]
    )


def _coloured(rows: list[tuple[str, tuple[int, ...]]]) -> list[_Class]:
    found: list[_Class] = []
    for name, colour in rows:
        red, green, blue = colour
        # Black is the background, however it is called.
        value = 0 if (red, green, blue) == (0, 0, 0) else len([1 for label, _ in found if label.value]) + 1
        code = f"#{red:02x}{green:02x}{blue:02x}"
        found.append((LabelEntry(name, "mask", code, value), (red, green, blue)))
    return found


def _values(mask: Path) -> tuple[int, ...]:
    try:
        return masks.values_in(load_mask(mask))
    except MaskError:
        return ()  # said when the picture is read


def _picture(
    relative: PurePosixPath,
    mask: Path,
    finder: PictureFinder,
    colours: Mapping[tuple[int, int, int], LabelEntry],
    by_value: Mapping[int | None, LabelEntry],
    problems: Problems,
) -> LabelledPicture | None:
    split = relative.parts[0] if relative.parts[0] in _SPLITS and len(relative.parts) > 1 else None
    kept = PurePosixPath(*relative.parts[1:]) if split else relative
    record_id = str(kept)
    path = finder.of_stem(relative)
    if path is None:
        try:
            names = (f"{relative.name}{suffix}" for suffix in PICTURE_SUFFIXES)
            path = next((found for name in names if (found := finder.find(name)) and found != mask), None)
        except DataError as error:
            problems.add(record_id, str(error))
            return None
    try:
        size = glance(path or mask).size
        shapes = _by_colours(mask, size, colours, problems) if colours else _by_values(mask, size, by_value)
    except (MaskError, PictureError) as error:
        problems.add(record_id, str(error))
        return None
    suffix = path.suffix if path is not None else mask.suffix
    return LabelledPicture(
        record_id=record_id,
        file_name=f"{kept}{suffix}",
        path=path,
        width=size[0],
        height=size[1],
        shapes=tuple(shapes),
        split=split,
        provenance=Provenance("file"),
    )


def _by_values(mask: Path, size: tuple[int, int], by_value: Mapping[int | None, LabelEntry]) -> list[Mask]:
    array = load_mask(mask, size)
    found = []
    for value in masks.values_in(array):
        label = by_value.get(value)
        if label is None:
            raise MaskError(f"{mask} holds the value {value}, which has no class", "Add it to classes.json.")
        found.append(_mask(array, value, label))
    return found


def _by_colours(
    mask: Path, size: tuple[int, int], colours: Mapping[tuple[int, int, int], LabelEntry], problems: Problems
) -> list[Mask]:
    with Image.open(mask) as image:
        if image.size != size:
            raise MaskError(
                f"mask {mask} is {image.width}x{image.height}, its picture {size[0]}x{size[1]}",
                "Make the mask again from the same picture.",
            )
    rgb = load_rgb(mask).astype(np.uint32)
    codes = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
    found = []
    for code in np.unique(codes):
        colour = (int(code) >> 16, int(code) >> 8 & 255, int(code) & 255)
        label = colours.get(colour)
        if label is None and colour != (0, 0, 0):
            problems.notes[f"pixels of colour {colour}, which no label has"] += int((codes == code).sum())
        elif label is not None and label.value:
            found.append(_mask((codes == code).view(np.uint8), 1, label))
    return found


def _mask(array: NDArray[np.uint8], value: int, label: LabelEntry) -> Mask:
    runs = masks.encode(array, values=(value,))
    if runs is None:
        raise MaskError(f"label '{label.name}' has no pixel")
    return Mask(label=label.name, runs=runs.lengths, box=runs.box, source="file")
