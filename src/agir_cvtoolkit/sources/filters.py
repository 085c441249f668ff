"""What ``--filters`` says: several texts, each in the grammar of `parser` or JSON, to one condition."""

from __future__ import annotations

from collections.abc import Sequence

from agir_cvtoolkit.errors import QueryError

from .conditions import Condition, all_of, alternatives_merged
from .json_filters import parse_json
from .parser import SUPPORTED, parse_text


def parse_filters(filters: Sequence[str]) -> Condition | None:
    """Parse several filters; all must hold, but ``key=value`` filters of one key are alternatives.

    Returns:
        The condition, or None without filters.

    Raises:
        QueryError: a filter cannot be understood.
    """
    parsed = [parse_filter(text) for text in filters]
    return all_of(alternatives_merged(parsed)) if parsed else None


def parse_filter(text: str) -> Condition:
    """Parse one filter.

    Raises:
        QueryError: it cannot be understood.
    """
    if not text.strip():
        raise QueryError("a filter is empty", SUPPORTED)
    if text.lstrip().startswith("{"):
        return parse_json(text)
    return parse_text(text)
