from __future__ import annotations

import re

import pytest

from agir_cvtoolkit.reporting.page_charts import line_chart_svg
from agir_cvtoolkit.reporting.page_parts import Line, LineChart


def ticks(svg: str) -> set[float]:
    """Return the numbers below the x axis: those in the middle of where they stand."""
    texts = re.findall(r'<text style="[^"]*text-anchor: middle[^"]*"[^>]*>([\d.]+)</text>', svg)
    return {float(text) for text in texts}


@pytest.mark.parametrize("x", [(1.0, 2.0), (4.0, 5.0, 7.0), (8.0, 16.0, 64.0), (3.0,)])
def test_whole_numbers_have_no_quarters_between_them(x: tuple[float, ...]) -> None:
    line = Line("chosen", x, tuple(0.5 for _ in x))
    found = ticks(line_chart_svg(LineChart("t", "a", "pictures", "IoU", (line,))))
    assert found
    assert all(number.is_integer() for number in found)


def test_shares_have_parts() -> None:
    line = Line("model", (0.0, 1.0), (0.1, 0.9))
    chart = LineChart("t", "a", "said", "seen", (line,), y_range=(0, 1), diagonal=True)
    assert 0.2 in ticks(line_chart_svg(chart))
