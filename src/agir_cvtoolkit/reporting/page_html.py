"""Pages as HTML: everything in one file, names of strangers escaped, nothing loaded from elsewhere."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from .page_charts import bar_chart_svg, line_chart_svg, table_of
from .page_colours import DARK, LIGHT, variables
from .page_parts import BarChart, LineChart, Page

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

ALONE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""What a page that is a file may do: no script, nothing from elsewhere."""


def page_html(page: Page) -> str:
    """Return a page as a file that opens without a network."""
    return rendered("report.html", policy=ALONE, title=page.title, page=page)


def rendered(template: str, **values: Any) -> str:
    """Return a template of this room, filled in.

    Args:
        template: name of its file.
        values: what it shows, with ``policy`` (a Content-Security-Policy) and ``title``.
    """
    from markupsafe import Markup

    # The sheet of styles is ours.
    return _environment().get_template(template).render(style=Markup(_style()), **values)  # noqa: S704


def _drawn(chart: LineChart | BarChart) -> Markup:
    from markupsafe import Markup

    svg = line_chart_svg(chart) if isinstance(chart, LineChart) else bar_chart_svg(chart)
    # Markers, clips and hatches are named by what they hold: two drawings may share a name.
    prefix = f"c{hashlib.sha256(svg.encode()).hexdigest()[:8]}-"
    # The drawing is Matplotlib's, which escapes the texts in it.
    return Markup(re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{prefix}", svg))  # noqa: S704


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("agir_cvtoolkit.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["kind"] = lambda part: type(part).__name__
    made.filters["as_table"] = table_of
    made.filters["drawn"] = _drawn
    return made


@cache
def _style() -> str:
    from importlib.resources import files

    rules = files("agir_cvtoolkit.reporting").joinpath("templates", "page.css").read_text(encoding="utf-8")
    light, dark = variables(LIGHT), variables(DARK)
    return f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n{rules}"
