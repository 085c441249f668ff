"""What a push is made of: labels by rule, shapes of masks, and the code that a call ends with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from agir_cvtoolkit.config import CvatUpload
from agir_cvtoolkit.errors import ConfigError, LabelError
from agir_cvtoolkit.masks import Runs, decode
from agir_cvtoolkit.outlines import rasterize
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.shapes import Mask, Polygon
from agir_cvtoolkit.stages._label_rules import LabelRules
from agir_cvtoolkit.stages._mask_candidates import mask_shapes
from agir_cvtoolkit.stages.upload_cvat import UploadResult

SMALL = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3))


def rules(**label_map: str) -> LabelRules:
    return LabelRules.from_settings(dict(label_map), {})


def test_the_first_column_with_a_value_wins() -> None:
    both = rules(species="{value}", kind="a {value} b", _default="weed")
    assert both.label_for({"species": "barley", "kind": "crop"}) == "barley"
    assert both.label_for({"species": "", "kind": "crop"}) == "a {value} b"
    assert both.label_for({"species": None}) == "weed"


@pytest.mark.parametrize("value", [None, "", "  ", "none", "NULL", "nan", float("nan"), False])
def test_no_value_takes_the_default_and_without_one_unknown(value: str | float | None) -> None:
    assert rules(species="{value}", _default="weed").label_for({"species": value}) == "weed"
    assert rules(species="{value}").label_for({"species": value}) == "unknown"


@pytest.mark.parametrize("value", [0, 7, "0", "wheat"])
def test_numbers_are_values(value: int | str) -> None:
    assert rules(species="{value}").label_for({"species": value}) == str(value)


def test_rows_that_differ_take_the_default_or_fail() -> None:
    assert rules(species="{value}", _default="weed").label_for({}, {"species"}) == "weed"
    with pytest.raises(LabelError, match="differ in species"):
        rules(species="{value}").label_for({}, {"species"})


def test_a_map_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match="_class must map"):
        LabelRules.from_settings({"_class": "weed"}, {})
    with pytest.raises(ConfigError, match="species must be a label"):
        LabelRules.from_settings({"species": {1: "weed"}}, {})


@given(SMALL, st.sampled_from(["mask", "polygon"]), st.booleans())
def test_shapes_make_up_the_mask(mask: NDArray[np.uint8], strategy: str, per_component: bool) -> None:
    upload = CvatUpload(mask_strategy=strategy, polygon_tolerance=0, per_component=per_component)
    height, width = mask.shape
    labels = {int(value): "ab"[int(value) % 2] for value in np.unique(mask) if value}
    shapes = mask_shapes(mask, labels, str.upper, upload)
    for label in set(labels.values()):
        wanted = np.isin(mask, [value for value, name in labels.items() if name == label])
        found = np.zeros_like(wanted)
        for shape in shapes:
            if shape.label != label.upper():
                continue
            if isinstance(shape, Mask):
                part = decode(Runs(shape.runs, shape.box), (width, height))
            else:
                assert isinstance(shape, Polygon)
                part = rasterize([np.asarray(shape.points)], (width, height))
            assert part.any()
            assert not (found & part).any()
            found |= part
        assert np.array_equal(found, wanted)
    assert bool(shapes) == bool(labels)


def edges_of(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the pixel edges between a mask and its background as left, top, right, bottom."""
    padded = np.pad(mask, 1)
    y, x = np.nonzero(padded[:, :-1] != padded[:, 1:])
    upright = np.stack([x, y - 1, x, y], axis=1)
    y, x = np.nonzero(padded[:-1] != padded[1:])
    level = np.stack([x - 1, y, x, y], axis=1)
    return np.concatenate([upright, level]).astype(np.float64)


def distances(points: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Euclidean distance of each point to the nearest edge."""
    x = np.clip(points[:, None, 0], edges[:, 0], edges[:, 2])
    y = np.clip(points[:, None, 1], edges[:, 1], edges[:, 3])
    nearest: NDArray[np.float64] = np.hypot(x - points[:, None, 0], y - points[:, None, 1]).min(axis=1)
    return nearest


def as_polygons(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Send a mask as polygons of the default tolerance and draw them again."""
    upload = CvatUpload(mask_strategy="polygon")
    height, width = mask.shape
    drawn = np.zeros_like(mask)
    for shape in mask_shapes(mask.view(np.uint8), {1: "weed"} if mask.any() else {}, str, upload):
        assert isinstance(shape, Polygon)
        drawn |= rasterize([np.asarray(shape.points)], (width, height))
    return drawn


def check_moved_by_at_most_a_pixel(mask: NDArray[np.bool_]) -> int:
    drawn = as_polygons(mask)
    y, x = np.nonzero(drawn != mask)
    centres = np.stack([x + 0.5, y + 0.5], axis=1)
    # One pixel of simplification, and half a pixel from the edge of a pixel to its centre.
    assert not len(centres) or distances(centres, edges_of(mask)).max() <= 1.5
    return len(centres)


@given(arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24))))
def test_by_default_no_polygon_moves_an_outline_by_more_than_a_pixel(mask: NDArray[np.bool_]) -> None:
    check_moved_by_at_most_a_pixel(mask)


def test_by_default_a_staircase_becomes_a_line() -> None:
    y, x = np.mgrid[:60, :80]
    ring = (np.hypot(x - 40, y - 30) < 25) & (np.hypot(x - 36, y - 28) > 9)
    moved = check_moved_by_at_most_a_pixel(ring)
    assert 0 < moved < 0.1 * ring.sum()
    (shape,) = mask_shapes(ring.view(np.uint8), {1: "weed"}, str, CvatUpload(mask_strategy="polygon"))
    assert isinstance(shape, Polygon)
    assert len(shape.points) < 60 < len(edges_of(ring))


RESULT = UploadResult(
    run_id="r",
    total_records=3,
    uploaded_annotations=3,
    skipped=0,
    failed=0,
    task_id=1,
    task_url="http://cvat.test/tasks/1",
    shapes=3,
    negatives=0,
    already_there=0,
    left_alone=0,
    tasks=(),
    items=(),
    push_id="p",
    project_id=None,
    organization_slug=None,
)


def test_exit_codes() -> None:
    items = (Item("a", "failed", "label"),)
    assert RESULT.exit_code == 0
    assert replace(RESULT, items=items, uploaded_annotations=2, failed=1).exit_code == 1
    assert replace(RESULT, items=items, uploaded_annotations=0, failed=3).exit_code == 4
    assert replace(RESULT, items=items, uploaded_annotations=0, skipped=3, left_alone=3).exit_code == 1
