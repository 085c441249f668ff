"""The matrix as text."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters

from .lab import Cell
from .troubles import TROUBLES

_SIGNS = {"ok": ".", "again": "r", "FAIL": "F"}


def table(cells: Sequence[Cell]) -> str:
    """Return the cells as one table for each scenario: requests by troubles."""
    used = {cell.trouble for cell in cells}
    letters = {t.name: ascii_letters[n] for n, t in enumerate(TROUBLES) if t.name in used}
    lines = [f"  {letter}  {name}" for name, letter in letters.items()]
    lines.append("")
    lines.append("  .  ok    r  ok after a second call    F  FAIL    blank: not tried")
    for scenario in dict.fromkeys(cell.scenario for cell in cells):
        own = [cell for cell in cells if cell.scenario == scenario]
        titles = {(c.row.method, c.row.pattern, c.row.nth): c.row.title for c in own}
        width = min(60, max(len(title) for title in titles.values()))
        lines += ["", f"{scenario}", f"{'':{width}}  {''.join(letters.values())}"]
        for key, title in titles.items():
            signs = {
                c.trouble: _SIGNS[c.verdict] for c in own if (c.row.method, c.row.pattern, c.row.nth) == key
            }
            lines.append(f"{title[:width]:{width}}  {''.join(signs.get(name, ' ') for name in letters)}")
    return "\n".join(lines)


def summary(cells: Sequence[Cell]) -> str:
    """Return how many cells ended how."""
    counts = {verdict: sum(cell.verdict == verdict for cell in cells) for verdict in _SIGNS}
    return (
        f"{len(cells)} cells: {counts['ok']} ok, {counts['again']} ok after a second call,"
        f" {counts['FAIL']} FAIL"
    )


def failures(cells: Sequence[Cell], most: int = 40) -> str:
    """Return what is wrong with the failed cells."""
    failed = [cell for cell in cells if cell.verdict == "FAIL"]
    lines = []
    for cell in failed[:most]:
        lines.append(f"FAIL  {cell.scenario} / {cell.row.title} / {cell.trouble} (exit code {cell.code})")
        lines += [f"      {problem[:600]}" for problem in cell.problems[:6]]
    if len(failed) > most:
        lines.append(f"... and {len(failed) - most} more; --json has all")
    return "\n".join(lines)
