"""The dashboard's pages: the report, a list of pictures to filter, and the life of one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from .page_html import rendered
from .page_parts import Gallery, Page, Part

POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; img-src 'self' data:;"
    " base-uri 'none'; form-action 'self'"
)
"""What a served page may do: nothing from elsewhere."""


@dataclass(frozen=True)
class Choice:
    """One way to narrow the list.

    Attributes:
        name: in addresses.
        label: for people.
        options: value and what it is called; the first one narrows nothing.
        chosen: the value that counts.
    """

    name: str
    label: str
    options: tuple[tuple[str, str], ...]
    chosen: str = ""


@dataclass(frozen=True)
class PicturesPage:
    """One page of the list.

    Attributes:
        search: text that names of records must contain.
        total: pictures on all pages.
        page, pages: from 1.
        wanted: what the list is narrowed to, as it stands in addresses.
    """

    choices: tuple[Choice, ...]
    search: str
    gallery: Gallery
    total: int
    page: int
    pages: int
    wanted: Mapping[str, str]

    def address(self, page: int) -> str:
        """Return the address of another page of the same list."""
        return f"/pictures?{urlencode({**self.wanted, 'page': page})}"


@dataclass(frozen=True)
class LifePage:
    """The life of one picture.

    Attributes:
        pictures: addresses, with what each shows.
        parts: figures and the table of events.
    """

    record_id: str
    subtitle: str
    pictures: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]


def overview_html(page: Page, refresh_s: float, state: str) -> str:
    """Return the report as it is served."""
    return rendered(
        "dashboard_report.html", policy=POLICY, title=page.title, page=page, refresh_s=refresh_s, state=state
    )


def pictures_html(page: PicturesPage, refresh_s: float, state: str) -> str:
    """Return a page of the list."""
    return rendered(
        "dashboard_pictures.html",
        policy=POLICY,
        title=f"Pictures, page {page.page}",
        page=page,
        refresh_s=refresh_s,
        state=state,
    )


def life_html(page: LifePage, refresh_s: float, state: str) -> str:
    """Return the life of a picture."""
    return rendered(
        "dashboard_life.html",
        policy=POLICY,
        title=page.record_id,
        page=page,
        refresh_s=refresh_s,
        state=state,
    )


def login_html(*, wrong: bool) -> str:
    """Return the page that asks for the token."""
    return rendered("dashboard_login.html", policy=POLICY, title="Token", wrong=wrong)


def script() -> str:
    """Return the script of all pages: it looks for news and shows them."""
    from importlib.resources import files

    return files("agir_cvtoolkit.reporting").joinpath("templates", "dashboard.js").read_text(encoding="utf-8")
