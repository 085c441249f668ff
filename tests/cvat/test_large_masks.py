"""Masks of one number per pixel: read without an object for each number, exact at any size."""

from __future__ import annotations

import resource
import time

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.cvat import LabelSet, shape_from_json, shape_to_json
from agir_cvtoolkit.cvat.capabilities import capabilities_of
from agir_cvtoolkit.cvat.json_numbers import item_from
from agir_cvtoolkit.cvat.labels import LabelSpec
from agir_cvtoolkit.json_stream import texts_of
from agir_cvtoolkit.masks import Runs, decode, encode
from agir_cvtoolkit.shapes import Mask

WEED = LabelSpec(2, "weed", "mask")
SERVER = capabilities_of("2.42.0", "http://x")
PIECE = 1 << 20


@given(
    st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=300)
    | st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=99)
    | st.lists(st.integers(-9, 9), min_size=200, max_size=300),
    st.booleans(),
    st.sampled_from(["mask", "polygon"]),
)
def test_any_numbers_are_read_as_a_full_parser_reads_them(
    numbers: list[float], whole_as_float: bool, kind: str
) -> None:
    points = [float(n) for n in numbers] if whole_as_float else numbers
    text = orjson.dumps({"id": 1, "type": kind, "points": points * 3, "source": '"points":[1,2]'})
    item = item_from(text)
    expected = orjson.loads(text)
    assert list(item["points"]) == expected["points"]
    assert {**item, "points": 0} == {**expected, "points": 0}


@pytest.mark.parametrize(
    "numbers", ["1.50", "1e3", "-4", "1.05", "10.0,1", "1, 2", "0.0001", "12345678901234567890"]
)
def test_what_is_not_plainly_whole_goes_to_the_full_parser(numbers: str) -> None:
    text = f'{{"type":"mask","points":[{",".join(["7.0"] * 100)},{numbers}]}}'.encode()
    assert list(item_from(text)["points"]) == orjson.loads(text)["points"]


def test_a_broken_list_is_no_item() -> None:
    for numbers in (b"1,,2", b"1,2,", b",1", b"1;2", b"nan", b"1.0.0"):
        with pytest.raises(ValueError):
            item_from(b'{"type":"mask","points":[' + b"5," * 200 + numbers + b"]}")


@pytest.mark.slow
def test_noise_of_61_megapixels_in_bounded_time_and_memory() -> None:
    width, height = 9568, 6376
    noise = np.random.default_rng(0).integers(0, 2, (height, width), dtype=np.uint8).view(np.bool_)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    runs = encode(noise)
    assert runs is not None
    assert len(runs.lengths) > 30_000_000
    mask = Mask(label="weed", runs=runs.lengths, box=runs.box)
    answer = b'{"shapes":[' + shape_to_json(mask, 0, WEED, SERVER) + b"]}"
    pieces = (answer[at : at + PIECE] for at in range(0, len(answer), PIECE))
    ((_, text),) = texts_of(pieces)
    back = shape_from_json(item_from(text), LabelSet((WEED,))).shape
    assert isinstance(back, Mask)
    assert np.array_equal(back.runs, mask.runs)
    assert np.array_equal(decode(Runs(back.runs, back.box), (width, height)), noise)
    seconds = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert seconds < 10
    # A Python object for each of its 30 million numbers would take 1,000 MB for them alone.
    assert grown < 1_200
