"""Whether choosing pays: the default strategy against random choice and plain entropy, on real labelled pictures.

Three simulations of ``agir-cvtoolkit simulate``: tiles of the Crop/Weed Field Image Dataset (``--data``, as of
``benchmarks.cwfid``: tested on the 10 whole pictures of its split, chosen from the other 29); the same with a pool of
which 80 % are near-duplicates; and poses (``--poses``, a folder with DeepLabCut's ``CollectedData_*.csv``). Every seed
has other first units, other weights and the same for all strategies; differences are paired by seed.

The default strategy was chosen on the 29 pictures alone, parted into 19 to choose from and 10 to test on.
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
PARTS = ("tiles", "duplicates", "poses")


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder of the crop and weed pictures"
    )
    made.add_argument("--poses", type=Path, default=None, metavar="DIR", help="folder of the poses")
    made.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="which simulations")
    made.add_argument("--seeds", type=int, default=10, help="of each simulation")
    made.add_argument("--jobs", type=int, default=2, help="processes")
    made.add_argument(
        "--keep", type=Path, default=None, metavar="DIR", help="keep the curves there, and go on from them"
    )
    return made.parse_args(arguments)


def measure(options: argparse.Namespace) -> list[Row]:
    """Simulate, and judge."""
    with tempfile.TemporaryDirectory() as temporary:
        root = (options.keep or Path(temporary)).absolute()
        call = Call((f"io.out_root={root / 'runs'}", f"simulate.level={LEVEL}"))
        rows: list[Row] = []
        if "tiles" in options.parts:
            found = simulate(
                options.data,
                strategies=(RANDOM, ENTROPY, DEFAULT, UNCONTROLLED),
                budgets=BUDGETS,
                seeds=options.seeds,
                jobs=options.jobs,
                test=SPLIT,
                out=root / "tiles",
                call=call,
            )
            rows += _curves("tiles", found)
            rows += [_equals(found, DEFAULT, gate=True), _equals(found, UNCONTROLLED, gate=False)]
            rows.append(_never_worse("tiles", found, BUDGETS))
        if "duplicates" in options.parts:
            found = simulate(
                options.data,
                strategies=(RANDOM, ENTROPY, DEFAULT),
                budgets=DOUBLED,
                seeds=options.seeds,
                jobs=options.jobs,
                test=SPLIT,
                duplicates=0.8,
                out=root / "duplicates",
                call=call,
            )
            rows += _curves("80 % near-duplicates", found)
            rows += [_beats(found, RANDOM, 32), _beats(found, ENTROPY, 32)]
            rows.append(_never_worse("80 % near-duplicates", found, DOUBLED))
        if "poses" in options.parts and options.poses is not None:
            found = simulate(
                options.poses,
                strategies=(RANDOM, ENTROPY, DEFAULT),
                budgets=POSE_BUDGETS,
                seeds=options.seeds,
                jobs=options.jobs,
                out=root / "poses",
                call=call,
            )
            rows += _curves("poses", found)
            rows.append(_never_worse("poses", found, POSE_BUDGETS))
    return rows


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


def _equals(found: SimulateResult, own: str, *, gate: bool) -> Row:
    gain = _gain(found, own, 32, RANDOM, 64, BUDGETS)
    return Row(
        f"tiles: {own} with 32 against random with 64, {gain.count} seeds",
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
