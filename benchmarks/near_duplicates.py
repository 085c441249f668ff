"""Near-duplicates among perceptual hashes: random ones, a pool of which 80 % are near-duplicates, and crowds.

The baseline is the comparison of all with all in numpy, timed on a part of the pool and scaled up.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from agir_cvtoolkit.similarity._buckets import Hashes, bit_counts
from agir_cvtoolkit.similarity.leaders import near_known, near_leaders
from agir_cvtoolkit.similarity.near import near_groups

from ._table import Row, finish, parser, seconds

TITLE = "Near-duplicates among hashes"
MOST = 10.0
_PART = 1000


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure each pool at each radius."""
    rows: list[Row] = []
    for name, hashes in _pools(options.count).items():
        baseline = _all_with_all(hashes)
        for radius in options.radii:
            leaders, count = _timed(lambda: len(np.unique(near_leaders(hashes, radius))))  # noqa: B023
            rows.append(_row(f"{name}, {radius} bits: {count} kept", baseline, leaders, gate=True))
            groups, count = _timed(lambda: len(set(near_groups(hashes.tolist(), radius))))  # noqa: B023
            rows.append(_row(f"{name}, {radius} bits: {count} groups", baseline, groups, gate=True))
            if not name.startswith("crowd"):
                known, count = _timed(lambda: int((near_known(hashes, hashes[::10], radius) >= 0).sum()))  # noqa: B023
                rows.append(
                    _row(f"{name}, {radius} bits: {count} near a tenth", baseline / 10, known, gate=True)
                )
    return rows


def _pools(count: int) -> dict[str, Hashes]:
    rng = np.random.default_rng(0)

    def around(centres: int, bits: int) -> Hashes:
        found = rng.integers(0, 1 << 63, centres, dtype=np.uint64)[rng.integers(0, centres, count)]
        for _ in range(bits):
            found = found ^ (np.uint64(1) << rng.integers(0, 64, count).astype(np.uint64))
        return found

    return {
        "random": rng.integers(0, 1 << 63, count, dtype=np.uint64),
        "80 % near-duplicates": around(count // 5, 3),
        "crowds of 5,000": around(max(1, count // 5000), 6),
        "crowd of all": around(1, 8),
        "crowd of all, thin": around(1, 12),
    }


def _all_with_all(hashes: Hashes) -> float:
    part = hashes[:_PART]
    taken, _ = _timed(lambda: [int((bit_counts(hashes ^ one) <= 4).sum()) for one in part])
    return taken * len(hashes) / len(part)


def _timed(work: Callable[[], int | list[int]]) -> tuple[float, int | list[int]]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def _row(name: str, baseline: float, ours: float, *, gate: bool) -> Row:
    return Row(
        name,
        seconds(baseline),
        seconds(ours),
        f"{baseline / ours:.0f}x",
        f"below {MOST:g} s" if gate else "",
        ours < MOST if gate else None,
    )


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument("--count", type=int, default=100_000, help="of hashes")
    made.add_argument("--radii", type=int, nargs="+", default=[4, 8], help="bits that may differ")
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
