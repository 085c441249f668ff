"""Small sets of labelled pictures, and what there is to draw them from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from agir_cvtoolkit.formats import areas
from agir_cvtoolkit.formats.writing import Writing
from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture, LabelledSet
from agir_cvtoolkit.masks import Runs, decode, encode
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.shapes import Mask, Points, Polygon, Rectangle, Shape, Skeleton

JOINTS = ("nose", "left_ear", "right_ear")
DOG = LabelEntry("dog", "skeleton", joints=JOINTS, links=(("nose", "left_ear"), ("nose", "right_ear")))
LABELS = (LabelEntry("crop", value=1), LabelEntry("weed", color="#aa0000", value=2), DOG)
SIZE = (16, 12)

bitmaps = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(lambda shape: arrays(np.bool_, shape))


def mask(bitmap: NDArray[np.bool_], label: str = "weed") -> Mask:
    runs = encode(bitmap)
    assert runs is not None
    return Mask(label=label, runs=runs.lengths, box=runs.box, source="manual")


def bitmap_of(shape: Shape, size: tuple[int, int]) -> NDArray[np.bool_]:
    if isinstance(shape, Mask):
        return decode(Runs(shape.runs, shape.box), size)
    assert isinstance(shape, Polygon | Rectangle)
    patch = areas.patch_of(shape, size)
    whole = np.zeros((size[1], size[0]), dtype=np.bool_)
    if patch is not None:
        rows, columns = patch.pixels.shape
        whole[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.pixels
    return whole


def ring_with_hole() -> NDArray[np.bool_]:
    """Two parts, one of them with a hole."""
    bitmap = np.zeros((SIZE[1], SIZE[0]), dtype=np.bool_)
    bitmap[2:8, 2:9] = True
    bitmap[4:6, 4:6] = False
    bitmap[9:11, 12:15] = True
    return bitmap


def dog(*, box: bool = False, group: int = 3) -> tuple[Shape, ...]:
    elements = (
        Points(label="nose", points=((3.5, 4.25),)),
        Points(label="left_ear", points=((6.0, 2.0),), occluded=True),
        Points(label="right_ear", points=((0.0, 0.0),), outside=True),
    )
    skeleton = Skeleton(label="dog", elements=elements, group=group if box else 0)
    around = Rectangle(label="dog", points=((1.0, 1.0), (9.0, 8.0)), group=group)
    return (skeleton, around) if box else (skeleton,)


def pictured(
    folder: Path,
    *shapes_of: Sequence[Shape],
    size: tuple[int, int] = SIZE,
    labels: tuple[LabelEntry, ...] = LABELS,
) -> LabelledSet:
    """Return a set with a picture for each sequence of shapes; files are `p0.png`, `p1.png`, ..."""
    pictures = []
    folder.mkdir(parents=True, exist_ok=True)
    for i, shapes in enumerate(shapes_of):
        path = folder / f"p{i}.png"
        if not path.is_file():
            save_png(np.full((size[1], size[0], 3), i, dtype=np.uint8), path)
        pictures.append(LabelledPicture(f"p{i}", path.name, path, *size, shapes=tuple(shapes)))
    return LabelledSet("test", labels, len(pictures), lambda: iter(pictures))


def writing(folder: Path, **options: object) -> Writing:
    folder.mkdir(parents=True, exist_ok=True)
    return Writing(folder, **options)  # type: ignore[arg-type]
