"""Choosing a batch: time and memory, k-center against plain numpy, and how far from exact a thinned-out pool is.

Pools are drawn: embeddings around 2,000 centres, and no near-duplicates, which would only make the pool smaller.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Known, Pool
from agir_cvtoolkit.selection import ChoiceRules, decide
from agir_cvtoolkit.selection.spread import distances_to, farthest_first

from ._process import measured
from ._table import Row, finish, parser, seconds

TITLE = "Choosing a batch"
MOST_SECONDS, MOST_MB, MOST_MB_OF_A_MILLION = 60.0, 2000.0, 4000.0
_CENTRES, _DIMENSIONS, _WANTED, _KNOWN = 2000, 512, 1000, 1000
_AT_ONCE = 10_000
Rows = NDArray[np.float16]


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure all of it; pools lie in files, and each choice is a process of its own."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for count in options.counts:
            path = Path(folder) / f"{count}.npy"
            draw_embeddings(path, count)
            for name in options.strategies:
                rows.append(_choice(path, count, name))
            if count <= 100_000:
                rows += _thinned(np.load(path, mmap_mode="r"), options.thinned)
                rows.append(_against_plain(np.load(path, mmap_mode="r")[:10_000]))
            path.unlink()
    return rows


def draw_embeddings(path: Path, count: int) -> None:
    """Write rows of length 1, float16 of shape (count, 512), some at a time."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(_CENTRES, _DIMENSIONS)).astype(np.float32)
    table = np.lib.format.open_memmap(path, "w+", np.float16, (count, _DIMENSIONS))
    for top in range(0, count, _AT_ONCE):
        some = min(_AT_ONCE, count - top)
        rows = centres[rng.integers(0, _CENTRES, some)]
        rows = rows + 0.5 * rng.standard_normal((some, _DIMENSIONS), dtype=np.float32)
        table[top : top + some] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    table.flush()


def choose_once(path: Path, name: str) -> None:
    """Choose 1,000 units of a pool whose embeddings lie in a file, and print how long that took."""
    embeddings = np.load(path, mmap_mode="r")
    count, rng = len(embeddings), np.random.default_rng(1)
    hashes = rng.integers(0, 1 << 63, count, dtype=np.uint64)
    pool = Pool(
        ids=[f"record_{number:07d}" for number in range(count)],
        scores={"uncertainty": rng.random(count, dtype=np.float32)},
        embeddings=embeddings,
        hashes=hashes,
        classes={"crop": rng.random(count, dtype=np.float32), "weed": rng.random(count, dtype=np.float32)},
    )
    known = Known(ids=frozenset(pool.ids[:_KNOWN]), hashes=hashes[:_KNOWN], embeddings=embeddings[:_KNOWN])
    started = time.perf_counter()
    found = decide(pool, _WANTED, ChoiceRules(strategy=name), known, 0)
    print(json.dumps({"seconds": time.perf_counter() - started, "chosen": len(found.chosen)}))


def _choice(path: Path, count: int, name: str) -> Row:
    done = measured("benchmarks.select", ["--child", str(path), name], Path.cwd())
    said = json.loads(done.printed.splitlines()[-1])
    assert said["chosen"] == _WANTED
    gated = count <= 100_000
    memory = MOST_MB if gated else MOST_MB_OF_A_MILLION
    return Row(
        f"{_WANTED} of {count} by {name}",
        "",
        f"{seconds(said['seconds'])}, {done.peak:.0f} MB",
        "",
        f"{f'at most {MOST_SECONDS:g} s, ' if gated else ''}{memory:.0f} MB",
        done.peak <= memory and (not gated or said["seconds"] <= MOST_SECONDS),
    )


def _thinned(embeddings: Rows, sizes: Sequence[int]) -> list[Row]:
    """Compare the covering radius of k-center on a part drawn at random with that on all."""
    order = np.random.default_rng(2).permutation(len(embeddings))
    exact = _radius(embeddings, farthest_first(embeddings, None, None, _WANTED))
    rows = []
    for size in sizes:
        part = np.sort(order[:size])
        found = _radius(embeddings, part[farthest_first(embeddings[part], None, None, _WANTED)])
        name = f"covering radius, thinned out to {size} of {len(embeddings)}"
        rows.append(Row(name, f"{exact:.4f}", f"{found:.4f}", f"{found / exact:.3f}x"))
    return rows


def _radius(embeddings: Rows, chosen: NDArray[np.int64]) -> float:
    return float(distances_to(embeddings, embeddings[chosen]).max())


def _against_plain(embeddings: Rows) -> Row:
    held = np.asarray(embeddings, dtype=np.float32)
    started = time.perf_counter()
    plain = plain_farthest_first(held, _WANTED)
    middle = time.perf_counter()
    ours = farthest_first(embeddings, None, None, _WANTED)
    ended = time.perf_counter()
    same = len(set(plain) & set(ours.tolist())) / _WANTED
    return Row(
        f"k-center, {_WANTED} of {len(held)}: {same:.1%} the same rows",
        f"{seconds(middle - started)} (numpy)",
        seconds(ended - middle),
        f"{(middle - started) / (ended - middle):.1f}x",
    )


def plain_farthest_first(held: NDArray[np.float32], wanted: int) -> list[int]:
    """Choose as anybody would write it: all distances anew for each choice."""
    apart = np.full(len(held), 2, dtype=np.float32)
    chosen: list[int] = []
    for _ in range(wanted):
        best = int(np.argmax(apart))
        chosen.append(best)
        np.minimum(apart, 1 - held @ held[best], out=apart)
        apart[best] = -1
    return chosen


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument("--counts", type=int, nargs="+", default=[100_000, 1_000_000], help="of units")
    made.add_argument(
        "--strategies", nargs="+", default=["class-doubt", "uncertainty-diversity", "clusters", "typical"]
    )
    made.add_argument("--thinned", type=int, nargs="+", default=[10_000, 25_000, 50_000])
    made.add_argument("--child", nargs=2, metavar=("FILE", "STRATEGY"), help=argparse.SUPPRESS)
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    if options.child:
        choose_once(Path(options.child[0]), options.child[1])
        return 0
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
