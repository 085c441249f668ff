from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.formats.mask_reader import read_masks
from agir_cvtoolkit.formats.mask_writer import mask_values, write_camvid, write_masks
from agir_cvtoolkit.labelled import LabelEntry
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.shapes import Shape

from .sets import SIZE, bitmap_of, dog, mask, pictured, ring_with_hole, writing

canvases = st.tuples(st.integers(1, 16), st.integers(1, 16)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 2))
)


@settings(max_examples=20, deadline=None)
@given(canvas=canvases, camvid=st.booleans())
def test_masks_come_back_bit_for_bit(canvas: NDArray[np.uint8], camvid: bool) -> None:
    size = (canvas.shape[1], canvas.shape[0])
    shapes: list[Shape] = [mask(canvas == v, n) for v, n in ((1, "crop"), (2, "weed")) if (canvas == v).any()]
    with tempfile.TemporaryDirectory() as name:
        out = writing(Path(name) / "out")
        labelled = pictured(Path(name) / "pictures", shapes, size=size)
        (write_camvid if camvid else write_masks)(labelled, out)
        (picture,) = read_masks(out.folder, None).labelled
        back = np.zeros_like(canvas)
        for shape in picture.shapes:
            back[bitmap_of(shape, size)] = {"crop": 1, "weed": 2}[shape.label]
        assert (back == canvas).all()
        assert not out.losses.counts


def test_pixels_are_class_ids_and_the_palette_has_their_colours(tmp_path: Path) -> None:
    out = writing(tmp_path / "out")
    write_masks(pictured(tmp_path / "pictures", [mask(ring_with_hole()), *dog()]), out)
    with Image.open(out.folder / "masks/p0.png") as image:
        assert image.mode == "P"
        assert (np.asarray(image) == ring_with_hole() * 2).all()
        assert np.asarray(image.convert("RGB"))[2, 2].tolist() == [0xAA, 0, 0]
    assert out.losses.counts == {"skeletons": 1}
    assert '"name": "weed"' in (out.folder / "classes.json").read_text()


def test_camvid_lists_pictures_and_colours(tmp_path: Path) -> None:
    out = writing(tmp_path / "out")
    write_camvid(pictured(tmp_path / "pictures", [mask(ring_with_hole())], []), out)
    assert (out.folder / "default.txt").read_text().splitlines()[0] == "/default/p0.png /defaultannot/p0.png"
    assert (out.folder / "label_colors.txt").read_text().splitlines()[::2] == ["0 0 0 Void", "170 0 0 weed"]


def test_what_a_mask_cannot_hold_is_counted(tmp_path: Path) -> None:
    out = writing(tmp_path / "out", pictures="none")
    both = [mask(ring_with_hole()), mask(ring_with_hole()), mask(ring_with_hole(), "crop")]
    write_masks(pictured(tmp_path / "pictures", both), out)
    assert out.losses.counts == {
        "shapes that lie on others (the upper one has the pixels)": 2,
        "borders between objects of one label": 1,
    }


def test_values_are_kept_and_others_take_what_is_free() -> None:
    labels = (
        LabelEntry("a"),
        LabelEntry("b", value=1),
        LabelEntry("c", value=1),
        LabelEntry("d", "tag"),
    )
    assert mask_values(labels) == {"b": 1, "a": 2, "c": 3}
    with pytest.raises(DataError, match="more than a mask has values"):
        mask_values(tuple(LabelEntry(str(i)) for i in range(256)))


def test_masks_without_a_table_are_labelled_by_their_values(tmp_path: Path) -> None:
    save_png(np.array([[0, 7], [3, 7]], dtype=np.uint8), tmp_path / "a.png")
    (tmp_path / "pictures").mkdir()
    save_png(np.zeros((2, 2, 3), dtype=np.uint8), tmp_path / "pictures/a.png")
    save_png(np.zeros((5, 2), dtype=np.uint8), tmp_path / "b.png")
    save_png(np.zeros((2, 2, 3), dtype=np.uint8), tmp_path / "pictures/b.png")
    (tmp_path / "c.png").write_bytes(b"no mask")
    incoming = read_masks(tmp_path, tmp_path / "pictures")
    found = {picture.record_id: [shape.label for shape in picture.shapes] for picture in incoming.labelled}
    assert found["a"] == ["3", "7"]
    assert {item.record_id for item in incoming.problems.items} >= {"b", "c"}


@pytest.mark.parametrize(
    "table", ["{}", "nonsense", '{"classes": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}']
)
def test_a_damaged_table_is_refused(tmp_path: Path, table: str) -> None:
    save_png(np.zeros((SIZE[1], SIZE[0]), dtype=np.uint8), tmp_path / "a.png")
    (tmp_path / "classes.json").write_text(table)
    with pytest.raises(DataError):
        read_masks(tmp_path, None)
