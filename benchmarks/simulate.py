"""Whether choosing pays: the default strategy against random choice and plain entropy, on real labelled pictures.

Simulations of ``agir-cvtoolkit simulate``: tiles of the Crop/Weed Field Image Dataset (``--data``, as of
``benchmarks.cwfid``), where each seed draws ten whole pictures of its own to test on and chooses from the other 29; the
same where every seed is tested on the ten pictures that ``cwfid_split.json`` lists; a pool of which 80 % are
near-duplicates; and poses (``--poses``, a folder with DeepLabCut's ``CollectedData_*.csv``). Every seed has other first
units, other weights and the same for all strategies; differences are paired by seed.

The default strategy was chosen on the 29 pictures that are not listed, parted into 19 to choose from and 10 to test on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agir_cvtoolkit import Call, simulate
from agir_cvtoolkit.stages._paired import Estimate
from agir_cvtoolkit.stages._simulate_cells import CELLS, Book
from agir_cvtoolkit.stages._simulate_outcome import paired_gain
from agir_cvtoolkit.stages.simulate import SimulateResult

from ._table import Row, finish, parser

TITLE = "Labels by the default strategy against labels drawn at random"
SPLIT = Path(__file__).with_name("cwfid_split.json")
LEVEL, MARGIN = 0.9, 0.01
BUDGETS, DOUBLED, POSE_BUDGETS = (8, 16, 24, 32, 64), (8, 16, 32, 64), (5, 10, 20, 40)
RANDOM, ENTROPY, DEFAULT, UNCONTROLLED = "random", "entropy", "default", "default-without-control"
SEEDS = {"tiles": 40, "listed": 12, "duplicates": 20, "poses": 10}
"""Of each part: so many that its interval is narrow enough for its gate."""
PARTS = tuple(SEEDS)
PICTURES, TESTED = 39, 10
"""Pictures there are, and pictures that each seed tests on: as many as are listed."""
NAMES = {
    "tiles": "tiles",
    "listed": "tiles, listed test pictures",
    "duplicates": "80 % near-duplicates",
    "poses": "poses",
}


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder of the crop and weed pictures"
    )
    made.add_argument("--poses", type=Path, default=None, metavar="DIR", help="folder of the poses")
    made.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="which simulations")
    made.add_argument(
        "--seeds",
        type=int,
        default=None,
        help=f"of each simulation; without it, in the order of the parts, {', '.join(map(str, SEEDS.values()))}",
    )
    made.add_argument("--jobs", type=int, default=2, help="processes")
    made.add_argument(
        "--keep", type=Path, default=None, metavar="DIR", help="keep the curves there, and go on from them"
    )
    return made.parse_args(arguments)


def measure(options: argparse.Namespace) -> list[Row]:
    """Simulate, and judge."""
    with tempfile.TemporaryDirectory() as temporary:
        root = (options.keep or Path(temporary)).absolute()
        data = options.data
        given: dict[str, tuple[Path | None, Path | None, float, Sequence[int]]]
        given = {"tiles": (data, None, 0.0, BUDGETS), "listed": (data, SPLIT, 0.0, BUDGETS)}
        given |= {"duplicates": (data, None, 0.8, DOUBLED), "poses": (options.poses, None, 0.0, POSE_BUDGETS)}
        rows: list[Row] = []
        for part in options.parts:
            place, test, duplicates, budgets = given[part]
            if place is None:
                continue
            share = () if part == "poses" else (f"simulate.test_share={TESTED / PICTURES}",)
            found = simulate(
                place,
                strategies=(RANDOM, ENTROPY, DEFAULT, *((UNCONTROLLED,) if budgets is BUDGETS else ())),
                budgets=budgets,
                seeds=options.seeds or SEEDS[part],
                jobs=options.jobs,
                test=test,
                duplicates=duplicates,
                out=root / part,
                call=Call((f"io.out_root={root / 'runs'}", f"simulate.level={LEVEL}", *share)),
            )
            rows += _judged(part, found, budgets)
    return rows


def _judged(part: str, found: SimulateResult, budgets: Sequence[int]) -> list[Row]:
    name = NAMES[part]
    rows = _curves(name, found)
    if budgets is BUDGETS:
        rows += [
            _equals(name, found, own, gate=(part, own) == ("tiles", DEFAULT))
            for own in (DEFAULT, UNCONTROLLED)
        ]
    if part == "duplicates":
        rows += [_beats(found, RANDOM, 32), _beats(found, ENTROPY, 32)]
    return [*rows, _never_worse(name, found, budgets)]


def _curves(name: str, found: SimulateResult) -> list[Row]:
    random = next(curve for curve in found.curves if curve.strategy == RANDOM)
    return [
        Row(
            f"{name}: {found.metric} of {curve.strategy} with {own.labels} of {found.pool}",
            f"{other.score.mean:.3f}",
            f"{own.score.mean:.3f}",
            "" if own.difference is None else _told(own.difference),
        )
        for curve in found.curves
        if curve.strategy != RANDOM
        for own, other in zip(curve.points[1:], random.points[1:], strict=True)
    ]


def _gain(
    found: SimulateResult, own: str, labels: int, other: str, other_labels: int, budgets: Sequence[int]
) -> Estimate:
    cells = Book(found.folder / CELLS).cells
    gain = paired_gain(cells, own, labels, other, other_labels, budgets, LEVEL)
    assert gain is not None
    return gain


def _equals(name: str, found: SimulateResult, own: str, *, gate: bool) -> Row:
    gain = _gain(found, own, 32, RANDOM, 64, BUDGETS)
    return Row(
        f"{name}: {own} with 32 against random with 64, {gain.count} seeds",
        "",
        "",
        _told(gain),
        f"lower end above -{MARGIN}" if gate else "",
        gain.low is not None and gain.low > -MARGIN if gate else None,
    )


def _beats(found: SimulateResult, other: str, labels: int) -> Row:
    gain = _gain(found, DEFAULT, labels, other, labels, DOUBLED)
    return Row(
        f"80 % near-duplicates: default against {other}, {labels} each, {gain.count} seeds",
        "",
        "",
        _told(gain),
        "lower end above 0",
        gain.low is not None and gain.low > 0,
    )


def _never_worse(name: str, found: SimulateResult, budgets: Sequence[int]) -> Row:
    curve = next(one for one in found.curves if one.strategy == DEFAULT)
    worst = min(
        (point.difference for point in curve.points[1:] if point.difference is not None), key=lambda d: d.mean
    )
    return Row(
        f"{name}: default is never worse than random, budgets {', '.join(map(str, budgets[1:]))}",
        "",
        "",
        _told(worst),
        "no interval below 0",
        curve.verdict != "worse",
    )


def _told(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return f"{found.mean:+.3f}"
    return f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
