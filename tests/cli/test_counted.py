"""Singular and plural."""

from __future__ import annotations

from agir_cvtoolkit.cli._counted import counted


def test_one_is_one_and_all_else_several() -> None:
    assert [counted(n, "task") for n in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]
    assert counted(2, "frame holds", "frames hold") == "2 frames hold"
