"""A command of its own that has others beneath it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click


class CommandWithOthers(click.Command):
    """A command whose first word may be another one's name.

    Args:
        others: what lies beneath it, by name.
    """

    def __init__(self, *args: Any, others: Mapping[str, click.Command], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.others = others

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: object
    ) -> click.Context:
        """Parse as the other command where the first word names one."""
        other = self.others.get(args[0]) if args else None
        if other is None:
            return super().make_context(info_name, args, parent, **extra)
        return other.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
