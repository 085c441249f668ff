"""``python -m tests.faults``: the whole matrix of faults, and random kills.

Exit codes: 0 everything ended as on a good day, 1 something did not.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

import click

from .killing import Killed
from .lab import Cell
from .matrix import Column, columns
from .scenarios import BY_NAME as SCENARIOS
from .table import failures, summary, table
from .troubles import BY_NAME as TROUBLES
from .work import run_kill, run_part


class _Line:
    """A line that says how far it is: rewritten on a terminal, every few seconds elsewhere."""

    def __init__(self, total: int, what: str) -> None:
        self._start = self._last = time.monotonic()
        self._total = total
        self._what = what

    def show(self, done: int, failed: int) -> None:
        now = time.monotonic()
        terminal = sys.stderr.isatty()
        if done < self._total and now - self._last < (0.2 if terminal else 20):
            return
        self._last = now
        text = f"{self._what}: {done} of {self._total}, {failed} failed, {now - self._start:.0f} s"
        click.echo(f"\r{text}" if terminal else text, err=True, nl=not terminal or done == self._total)


def _matrix(pool: ProcessPoolExecutor, wanted: Sequence[Column], every: int) -> list[Cell]:
    order = {(c.scenario.name, c.trouble.name): n for n, c in enumerate(wanted)}
    line = _Line(len(wanted), "columns of the matrix")
    tasks = [pool.submit(run_part, c.scenario.name, c.trouble.name, every) for c in wanted]
    cells: list[Cell] = []
    for done, task in enumerate(as_completed(tasks), start=1):
        cells += task.result()
        line.show(done, sum(cell.verdict == "FAIL" for cell in cells))
    return sorted(cells, key=lambda cell: order[cell.scenario, cell.trouble])


def _kills(pool: ProcessPoolExecutor, seed: int, count: int) -> Iterator[Killed]:
    line = _Line(count, "random kills")
    tasks = [pool.submit(run_kill, seed, number) for number in range(count)]
    failed = 0
    for done, task in enumerate(as_completed(tasks), start=1):
        killed = task.result()
        failed += bool(killed.problems)
        line.show(done, failed)
        yield killed


@click.command()
@click.option(
    "--scenario", "scenarios", multiple=True, type=click.Choice(list(SCENARIOS)), help="Only these."
)
@click.option("--fault", "troubles", multiple=True, type=click.Choice(list(TROUBLES)), help="Only these.")
@click.option("--every", default=1, show_default=True, help="Only one cell in so many; an odd number.")
@click.option("--kills", default=100, show_default=True, help="Pushes and pulls killed at random moments.")
@click.option("--seed", default=None, type=int, help="Of the random moments.")
@click.option("--workers", default=os.cpu_count() or 1, show_default="one per core")
@click.option(
    "--json", "json_file", default=None, type=click.Path(path_type=Path), help="Write all cells there."
)
@click.option("--no-matrix", is_flag=True, help="Only the random kills.")
def main(
    scenarios: tuple[str, ...],
    troubles: tuple[str, ...],
    every: int,
    kills: int,
    seed: int | None,
    workers: int,
    json_file: Path | None,
    no_matrix: bool,
) -> None:
    """Break every request of push and pull in every way, and compare the end with that of a good day."""
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    wanted = columns(
        [SCENARIOS[name] for name in scenarios or SCENARIOS],
        [TROUBLES[name] for name in troubles or TROUBLES],
    )
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        cells = [] if no_matrix else _matrix(pool, wanted, every)
        if cells:
            click.echo(table(cells))
            click.echo(f"\n{summary(cells)}")
        if failed := failures(cells):
            click.echo(failed)
        click.echo(f"\nrandom kills: {kills}, seed {seed}")
        killed = list(_kills(pool, seed, kills))
    bad = [one for one in killed if one.problems]
    for one in bad:
        click.echo(f"FAIL  kill {one.number}, {one.scenario}, lived {one.lives}")
        for problem in one.problems[:6]:
            click.echo(f"      {problem[:600]}")
    died = sum(code < 0 for one in killed for code, _ in one.lives)
    click.echo(f"{len(killed)} commands, killed {died} times: {len(bad)} ended differently")
    if json_file is not None:
        content = {"cells": [asdict(c) for c in cells], "seed": seed, "kills": [asdict(k) for k in killed]}
        json_file.write_text(json.dumps(content, indent=1), encoding="utf-8")
    sys.exit(1 if bad or any(cell.verdict == "FAIL" for cell in cells) else 0)


if __name__ == "__main__":
    main()
