"""What a command that stays says when a look fails."""

from __future__ import annotations

import click

from agir_cvtoolkit.errors import AgirError


def tell_failed(error: AgirError, pause: float) -> None:
    """Say on stderr that a look failed, and after how many seconds comes the next."""
    from agir_cvtoolkit.config import redacted

    click.echo(redacted(f"Failed: {error} Again in {pause:.0f} s."), err=True)
