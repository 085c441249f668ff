"""What the loop is worth: excess green against the trained model, on scenes that were not trained on.

The baseline is excess green, the first proposal; ours is the model that the demonstration trains on the corrections.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agir_cvtoolkit.demo.run import demo

from ._table import Row, finish, parser

TITLE = "Mean IoU on drawn scenes that were not trained on"
GAIN = 0.05
PROPOSALS = (0.5, 0.85)


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the scenes and of the training"
    )
    made.add_argument("--count", type=int, default=27, help="scenes to draw; every third is held out")
    made.add_argument("--epochs", type=int, default=None, help="of the training")
    return made.parse_args(arguments)


def measure(options: argparse.Namespace) -> list[Row]:
    """Run the demonstration once per seed."""
    rows = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            result = demo(Path(folder) / "demo", count=options.count, seed=seed, epochs=options.epochs)
        verdict = result.judgement.all
        gain = verdict.after - verdict.before
        rows.append(
            Row(
                f"seed {seed}, {verdict.pictures} scenes held out [{result.seconds:.0f} s]",
                f"{verdict.before:.3f}",
                f"{verdict.after:.3f}",
                f"{gain:+.3f}",
                f"at least +{GAIN}, baseline in {PROPOSALS[0]}..{PROPOSALS[1]}",
                gain >= GAIN and PROPOSALS[0] <= verdict.before <= PROPOSALS[1],
            )
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
