"""Masks into requests and back, against the official SDK: one thread, the same masks, taken in turns.

Ours is what ``upload-cvat`` does with a mask: encode, check against frame and label, hash, serialize. The
SDK's is what its documentation shows: ``encode_mask``, its request models, and its client's serialization.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import orjson
from cvat_sdk import models
from cvat_sdk.api_client import ApiClient, Configuration
from cvat_sdk.masks import decode_mask, encode_mask
from numpy.typing import NDArray

from agir_cvtoolkit import masks
from agir_cvtoolkit.cvat import LabelSet, LabelSpec, shape_from_json, shape_to_json, validate
from agir_cvtoolkit.cvat.capabilities import capabilities_of
from agir_cvtoolkit.cvat.shapes_json import mask_from_numbers
from agir_cvtoolkit.shapes import Mask

from ._field_masks import PackedMask, field_masks
from ._table import Row, finish, median, parser, seconds

TITLE = "Masks to CVAT's run lengths and back"
REQUEST_GATE = 8.0
LABEL = LabelSpec(1, "weed")
LABELS = LabelSet((LABEL,))
NEWEST = capabilities_of(None, "")
DECODED_MASKS = 10

Bits = NDArray[np.bool_]


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure encoding with serialization, encoding alone, and decoding."""
    cv2.setNumThreads(1)
    found = field_masks(options.masks, options.count, options.megapixels)
    return [
        *_encoding(found, options.rounds),
        _never_slower(found, options.rounds),
        *_decoding(found, options.rounds),
    ]


def _encoding(found: Sequence[PackedMask], rounds: int) -> list[Row]:
    totals: dict[str, list[float]] = {"ours": [], "ours encode": [], "sdk": [], "sdk encode": []}
    for turn in range(rounds):
        sides: tuple[_Side, _Side] = (_Ours(), _Sdk())
        for number, packed in enumerate(found):
            mask = packed.unpacked()
            # Who comes second finds the mask in the cache; they take turns.
            for side in sides if (turn + number) % 2 else sides[::-1]:
                side.take(number, mask)
        bodies = [side.body() for side in sides]
        if turn == 0:
            _compare(*bodies)
        for name, side in zip(("ours", "sdk"), sides, strict=True):
            totals[name].append(side.encoding + side.serializing)
            totals[f"{name} encode"].append(side.encoding)
    mid = {name: median(values) for name, values in totals.items()}
    ratio, alone = mid["sdk"] / mid["ours"], mid["sdk encode"] / mid["ours encode"]
    size = found[0].shape[0] * found[0].shape[1] / 1e6
    return [
        Row(
            f"encode and serialize {len(found)} masks of {size:.0f} MP",
            seconds(mid["sdk"]),
            seconds(mid["ours"]),
            f"{ratio:.1f}x",
            f">= {REQUEST_GATE:.0f}x",
            ratio >= REQUEST_GATE,
        ),
        Row(
            "  of it encoding alone",
            seconds(mid["sdk encode"]),
            seconds(mid["ours encode"]),
            f"{alone:.1f}x",
            ">= 1x",
            alone >= 1,
        ),
        Row(
            "  share of encoding",
            f"{mid['sdk encode'] / mid['sdk']:.0%}",
            f"{mid['ours encode'] / mid['ours']:.0%}",
        ),
    ]


class _Side(Protocol):
    encoding: float
    serializing: float

    def take(self, frame: int, mask: Bits) -> None: ...

    def body(self) -> bytes: ...


class _Ours:
    def __init__(self) -> None:
        self.encoding = self.serializing = 0.0
        self._parts: list[bytes] = []

    def take(self, frame: int, mask: Bits) -> None:
        started = time.perf_counter()
        runs = masks.encode(mask)
        encoded = time.perf_counter()
        self.encoding += encoded - started
        if runs is None:
            return
        size = mask.shape[1], mask.shape[0]
        shape = validate(Mask(label=LABEL.name, runs=runs.lengths, box=runs.box), frame, size, LABEL)
        shape.geometry_hash()
        self._parts.append(shape_to_json(shape, frame, LABEL, NEWEST))
        self.serializing += time.perf_counter() - encoded

    def body(self) -> bytes:
        started = time.perf_counter()
        whole = b'{"version":0,"tags":[],"tracks":[],"shapes":[' + b",".join(self._parts) + b"]}"
        self.serializing += time.perf_counter() - started
        return whole


class _Sdk:
    def __init__(self) -> None:
        self.encoding = self.serializing = 0.0
        self._client = ApiClient(Configuration(host="http://localhost"))
        self._shapes: list[Any] = []

    def take(self, frame: int, mask: Bits) -> None:
        started = time.perf_counter()
        points = encode_mask(mask)
        encoded = time.perf_counter()
        self.encoding += encoded - started
        if not mask.any():
            return
        encoded = time.perf_counter()
        self._shapes.append(
            models.LabeledShapeRequest(type="mask", frame=frame, label_id=LABEL.id, points=points)
        )
        self.serializing += time.perf_counter() - encoded

    def body(self) -> bytes:
        started = time.perf_counter()
        request = models.PatchedLabeledDataRequest(shapes=self._shapes)
        whole = json.dumps(self._client.sanitize_for_serialization(request)).encode()
        self.serializing += time.perf_counter() - started
        return whole


def _compare(ours: bytes, theirs: bytes) -> None:
    pairs = zip(orjson.loads(ours)["shapes"], orjson.loads(theirs)["shapes"], strict=True)
    if any(a["points"] != b["points"] or a["frame"] != b["frame"] for a, b in pairs):
        raise SystemExit("the two requests differ: the measurement is void")


def _never_slower(found: Sequence[PackedMask], rounds: int) -> Row:
    """Compare encoding mask by mask, with kinds of masks that no field has."""
    shape = found[0].shape
    rng = np.random.default_rng(1)
    dot = np.zeros(shape, dtype=np.bool_)
    dot[shape[0] // 2, shape[1] // 2] = True
    kinds = {f"field mask {number}": packed.unpacked() for number, packed in enumerate(found[:8])} | {
        "full": np.ones(shape, dtype=np.bool_),
        "empty": np.zeros(shape, dtype=np.bool_),
        "one pixel": dot,
        "noise": rng.random(shape) < 0.5,
        "sparse noise": rng.random(shape) < 0.001,
        "64x64": rng.random((64, 64)) < 0.5,
    }
    ratios = {}
    for name, mask in kinds.items():
        repeats = rounds if mask.size > 1e5 else rounds * 50
        ours, theirs = _in_turns(partial(masks.encode, mask), partial(encode_mask, mask), repeats)
        ratios[name] = theirs / ours
    worst = min(ratios, key=lambda name: ratios[name])
    return Row(
        f"encode, the worst of {len(kinds)} kinds ({worst})",
        "",
        "",
        f"{ratios[worst]:.1f}x",
        ">= 1x",
        ratios[worst] >= 1,
    )


def _decoding(found: Sequence[PackedMask], rounds: int) -> list[Row]:
    alone: list[tuple[float, float]] = []
    whole: list[tuple[float, float]] = []
    client = ApiClient(Configuration(host="http://localhost"))
    for packed in found[:DECODED_MASKS]:
        mask = packed.unpacked()
        height, width = mask.shape
        points = encode_mask(mask)
        if not mask.any():
            continue
        answer = orjson.dumps(
            {"shapes": [{"type": "mask", "frame": 0, "label_id": 1, "points": [float(v) for v in points]}]}
        )

        def ours(points: list[float] = points, size: tuple[int, int] = (width, height)) -> Bits:
            runs, box = mask_from_numbers(np.asarray(points, dtype=np.float64))
            return masks.decode(masks.Runs(runs, box), size)

        def sdk(points: list[float] = points, width: int = width, height: int = height) -> Bits:
            return np.asarray(decode_mask(points, image_width=width, image_height=height))

        def ours_whole(answer: bytes = answer, size: tuple[int, int] = (width, height)) -> Bits:
            read = shape_from_json(orjson.loads(answer)["shapes"][0], LABELS).shape
            if not isinstance(read, Mask):
                raise SystemExit("a mask was not read back")
            return masks.decode(masks.Runs(read.runs, read.box), size)

        def sdk_whole(answer: bytes = answer, width: int = width, height: int = height) -> Bits:
            data: Any = client.deserialize(_Answer(answer), (models.LabeledData,), _check_type=True)
            return np.asarray(decode_mask(data.shapes[0].points, image_width=width, image_height=height))

        for decode in (ours, sdk, ours_whole, sdk_whole):
            if not np.array_equal(decode(), mask):
                raise SystemExit("a mask came back changed: the measurement is void")
        alone.append(_in_turns(ours, sdk, rounds))
        whole.append(_in_turns(ours_whole, sdk_whole, rounds))
    rows = []
    for name, pairs, gate in (
        (f"decode {len(alone)} masks from their numbers", alone, 1.0),
        (f"parse and decode {len(whole)} answers", whole, REQUEST_GATE),
    ):
        mine, theirs = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
        ratio = theirs / mine
        rows.append(
            Row(name, seconds(theirs), seconds(mine), f"{ratio:.1f}x", f">= {gate:.0f}x", ratio >= gate)
        )
    return rows


class _Answer:
    """As much of an HTTP answer as the SDK's deserializer reads."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.headers = {"content-type": "application/vnd.cvat+json"}


def _in_turns(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds):
        for side in (0, 1) if turn % 2 else (1, 0):
            started = time.perf_counter()
            (first, second)[side]()
            times[side].append(time.perf_counter() - started)
    return median(times[0]), median(times[1])


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument(
        "--masks", type=Path, default=None, help="folder of PNG masks; without it masks are drawn"
    )
    made.add_argument("--count", type=int, default=100)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--megapixels", type=float, default=12.0)
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
