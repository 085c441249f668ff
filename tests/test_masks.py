"""Masks as run lengths, with CVAT's own SDK as the second opinion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cvat_sdk.masks import decode_mask, encode_mask
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from agir_cvtoolkit.errors import MaskError
from agir_cvtoolkit.masks import Runs, bounding_box, check_runs, decode, encode, encode_parts

BoolMask = NDArray[np.bool_]
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@st.composite
def masks(draw: st.DrawFn) -> BoolMask:
    """Noise, blobs, full, empty, one pixel, whole rows and columns; borders included."""
    height, width = draw(SIZES)
    kind = draw(st.sampled_from(["noise", "box", "pixel", "full", "empty", "stripes"]))
    mask = np.zeros((height, width), np.bool_)
    rows, columns = st.integers(0, height - 1), st.integers(0, width - 1)
    if kind == "noise":
        return draw(arrays(np.bool_, (height, width)))
    if kind == "full":
        mask[:] = True
    elif kind == "pixel":
        mask[draw(rows), draw(columns)] = True
    elif kind == "box":
        top, bottom = sorted((draw(rows), draw(rows)))
        left, right = sorted((draw(columns), draw(columns)))
        mask[top : bottom + 1, left : right + 1] = True
    elif kind == "stripes":
        mask[:: draw(st.integers(1, 3)), :: draw(st.integers(1, 3))] = True
    return mask


def points_of(runs: Runs) -> list[int]:
    return [*runs.lengths.tolist(), *runs.box]


def naive_runs(mask: BoolMask) -> list[int]:
    """Run lengths and box as CVAT's documentation defines them, pixel by pixel."""
    rows, columns = np.nonzero(mask)
    left, top, right, bottom = (int(n) for n in (columns.min(), rows.min(), columns.max(), rows.max()))
    runs, value = [0], False
    for pixel in mask[top : bottom + 1, left : right + 1].reshape(-1).tolist():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return [*runs, left, top, right, bottom]


@given(masks().filter(lambda mask: bool(mask.any())))
def test_encoding_is_what_its_definition_says(mask: BoolMask) -> None:
    runs = encode(mask)
    assert runs is not None
    assert points_of(runs) == naive_runs(mask)


@settings(max_examples=400)
@given(masks())
def test_encoding_is_that_of_the_official_sdk(mask: BoolMask) -> None:
    runs = encode(mask)
    if not mask.any():
        assert runs is None
        return
    assert runs is not None
    assert points_of(runs) == encode_mask(mask)
    assert runs.lengths.dtype == np.int32
    check_runs(runs, (mask.shape[1], mask.shape[0]))


@settings(max_examples=400)
@given(masks())
def test_decoding_is_exact_and_that_of_the_official_sdk(mask: BoolMask) -> None:
    runs = encode(mask)
    height, width = mask.shape
    if runs is None:
        return
    decoded = decode(runs, (width, height))
    assert decoded.dtype == np.bool_
    assert np.array_equal(decoded, mask)
    assert np.array_equal(decoded, decode_mask(points_of(runs), image_width=width, image_height=height))


@given(
    masks(),
    st.integers(1, 255),
    st.sampled_from(["C", "F", "transposed", "reversed", "strided", "read-only"]),
)
def test_any_dtype_and_memory_layout(mask: BoolMask, value: int, layout: str) -> None:
    expected = encode(mask)
    for source in (mask, mask.astype(np.uint8) * np.uint8(value)):
        laid: NDArray[Any] = np.ascontiguousarray(source)
        if layout == "F":
            laid = np.asfortranarray(source)
        elif layout == "transposed":
            laid = np.ascontiguousarray(source.T).T
        elif layout == "reversed":
            laid = np.ascontiguousarray(source[::-1, ::-1])[::-1, ::-1]
        elif layout == "strided":
            big = np.zeros((source.shape[0] * 2, source.shape[1] * 3), source.dtype)
            big[::2, ::3] = source
            laid = big[::2, ::3]
        elif layout == "read-only":
            laid = laid.copy()
            laid.flags.writeable = False
        found = encode(laid)
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            assert points_of(found) == points_of(expected)


@given(masks(), st.data())
def test_a_given_box_is_encoded_as_it_is(mask: BoolMask, data: st.DataObject) -> None:
    height, width = mask.shape
    left = data.draw(st.integers(0, width - 1))
    top = data.draw(st.integers(0, height - 1))
    right = data.draw(st.integers(left, width - 1))
    bottom = data.draw(st.integers(top, height - 1))
    runs = encode(mask, (left, top, right, bottom))
    assert runs is not None
    assert points_of(runs) == encode_mask(mask, [left, top, right + 1, bottom + 1])


@pytest.mark.parametrize("box", [(-1, 0, 1, 1), (0, 0, 5, 1), (0, 0, 1, 4), (2, 0, 1, 1), (0, 3, 1, 2)])
def test_a_box_outside_the_mask_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(MaskError, match="box"):
        encode(np.ones((4, 5), np.bool_), box)


@given(masks())
def test_bounding_box_is_inclusive_and_tight(mask: BoolMask) -> None:
    ys, xs = np.nonzero(mask)
    expected = (xs.min(), ys.min(), xs.max(), ys.max()) if len(xs) else None
    assert bounding_box(mask) == expected


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_a_mask_without_pixels_is_empty(shape: tuple[int, int]) -> None:
    assert encode(np.zeros(shape, np.bool_)) is None


@pytest.mark.parametrize("shape", [(4,), (2, 2, 3)])
def test_other_dimensions_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(MaskError, match="two dimensions"):
        encode(np.ones(shape, np.bool_))


@pytest.mark.parametrize(
    ("lengths", "box", "complaint"),
    [
        ([0, 4], (0, 0, 2, 1), "sum to 4"),
        ([0, 7], (0, 0, 2, 1), "sum to 7"),
        ([], (0, 0, 0, 0), "sum to 0"),
        ([-1, 7], (0, 0, 2, 1), "negative"),
        ([0, 6], (0, 0, 10, 1), "does not lie"),
        ([0, 6], (-1, 0, 1, 1), "does not lie"),
        ([0, 6], (2, 0, 0, 1), "does not lie"),
        ([2**31 - 1, 2**31 - 1, 8], (0, 0, 2, 1), "sum to"),
    ],
)
def test_runs_that_do_not_fit_are_refused(
    lengths: list[int], box: tuple[int, int, int, int], complaint: str
) -> None:
    runs = Runs(np.array(lengths, np.int32), box)
    with pytest.raises(MaskError, match=complaint):
        check_runs(runs, (10, 10))
    with pytest.raises(MaskError, match=complaint):
        decode(runs, (10, 10))


@pytest.mark.parametrize("lengths", [[6], [0, 6], [0, 2, 0, 4], [1, 0, 0, 2, 3], [0, 0, 0, 6]])
def test_runs_of_length_zero_decode_as_the_sdk_does(lengths: list[int]) -> None:
    runs = Runs(np.array(lengths, np.int32), (1, 1, 3, 2))
    assert np.array_equal(decode(runs, (5, 4)), decode_mask(points_of(runs), image_width=5, image_height=4))


@given(masks())
def test_parts_are_encoded_apart_and_add_up(mask: BoolMask) -> None:
    size = (mask.shape[1], mask.shape[0])
    total = np.zeros(mask.shape, np.int32)
    for runs in encode_parts(mask):
        part = decode(runs, size)
        total += part
        again = encode(part)
        assert again is not None
        assert points_of(again) == points_of(runs)
        assert len(list(encode_parts(part))) == 1
    assert np.array_equal(total, mask.astype(np.int32))


def test_diagonal_pixels_are_one_part() -> None:
    assert len(list(encode_parts(np.eye(3, dtype=np.bool_)))) == 1
    apart = np.zeros((3, 3), np.bool_)
    apart[0, 0] = apart[0, 2] = apart[2, 0] = True
    assert len(list(encode_parts(apart))) == 3


def test_a_large_mask_is_exact() -> None:
    rng = np.random.default_rng(5)
    mask = np.kron(rng.random((60, 80)) < 0.4, np.ones((16, 16), np.bool_)).astype(np.bool_)
    mask ^= rng.random(mask.shape) < 0.001
    runs = encode(mask)
    assert runs is not None
    assert points_of(runs) == encode_mask(mask)
    assert np.array_equal(decode(runs, (mask.shape[1], mask.shape[0])), mask)


@settings(max_examples=200)
@given(arrays(np.uint8, SIZES, elements=st.integers(0, 4)), st.sets(st.integers(1, 5), min_size=1))
def test_some_values_are_encoded_as_a_mask_of_them(mask: NDArray[np.uint8], values: set[int]) -> None:
    runs, expected = encode(mask, values=sorted(values)), encode(np.isin(mask, sorted(values)))
    assert (runs is None) == (expected is None)
    if runs is not None and expected is not None:
        assert points_of(runs) == points_of(expected)


@given(masks().filter(lambda mask: bool(mask.any())), st.integers(1, 90))
def test_bands_leave_no_seam(mask: BoolMask, pixels: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("agir_cvtoolkit.masks._BAND_PIXELS", pixels)
        runs = encode(mask.astype(np.uint8) * 3, values=[3])
    assert runs is not None
    assert points_of(runs) == naive_runs(mask)
