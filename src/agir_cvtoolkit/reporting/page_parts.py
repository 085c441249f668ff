"""What pages are made of: sections of sentences, figures, charts, tables and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["plain", "good", "warn"]
StepState = Literal["done", "now", "ahead", "failed"]


@dataclass(frozen=True)
class Cell:
    """What stands in a table.

    Attributes:
        text: shown.
        small: behind it, less loud: an interval.
        is_text: set to the left.
        warns: to be noticed; a mark stands before it, so that it does not depend on colour.
        link: where it leads, on pages that are served; None for nowhere.
    """

    text: str
    small: str = ""
    is_text: bool = False
    warns: bool = False
    link: str | None = None


@dataclass(frozen=True)
class Table:
    """Rows below names.

    Attributes:
        caption: what it holds, in a few words.
        folded: shown only when its caption is clicked.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    folded: bool = False

    @property
    def is_left(self) -> tuple[bool, ...]:
        """Whether each column is set to the left: all of it is text."""
        return tuple(all(row[n].is_text for row in self.rows) for n in range(len(self.columns)))


@dataclass(frozen=True)
class Fact:
    """A figure that is seen first.

    Attributes:
        value: the figure.
        name: what it counts.
        small: its interval, or what it was before.
    """

    value: str
    name: str
    small: str = ""


@dataclass(frozen=True)
class Facts:
    """Figures beside each other."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Words:
    """A paragraph.

    Attributes:
        lead: its first words, set strong.
    """

    text: str
    lead: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: beside its end.
        x, y: of its points; a y that is no number leaves a gap.
        low, high: interval of each y; empty where none is known, not a number where one is not.
        notes: for each point, in the table beside the chart; empty for none.
        joined: points are joined by a line.
        has_marks: points are marked.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    joined: bool = True
    has_marks: bool = True


@dataclass(frozen=True)
class LineChart:
    """Lines over numbers or names.

    Attributes:
        title: what is to be seen.
        alt: the same for those who cannot see it, with the figures that matter.
        x_names: of the places 0, 1, 2 …; empty where x is a number.
        y_range: fixed ends of the axis; None follows the points.
        diagonal: a line from corner to corner, where y ought to be.
    """

    title: str
    alt: str
    x_title: str
    y_title: str
    lines: tuple[Line, ...]
    x_names: tuple[str, ...] = ()
    y_range: tuple[float, float] | None = None
    diagonal: bool = False


@dataclass(frozen=True)
class BarRow:
    """One bar.

    Attributes:
        name: at its left.
        counts: of each part.
        note: at its right.
    """

    name: str
    counts: tuple[int, ...]
    note: str = ""


@dataclass(frozen=True)
class BarChart:
    """Bars below each other, each divided into the same parts.

    Attributes:
        parts: names, in order.
        as_shares: all bars are of one length.
    """

    title: str
    alt: str
    parts: tuple[str, ...]
    rows: tuple[BarRow, ...]
    as_shares: bool = True


@dataclass(frozen=True)
class Picture:
    """A picture with what there is to say of it.

    Attributes:
        source: address, or a ``data:`` address that holds it.
        alt: what it shows.
        title: below it.
        note: below that.
        link: where a click leads; None for nowhere.
    """

    source: str
    alt: str
    title: str
    note: str = ""
    link: str | None = None


@dataclass(frozen=True)
class Gallery:
    """Pictures beside each other, with a legend of their marks where they have any."""

    caption: str
    pictures: tuple[Picture, ...]
    has_marks: bool = True


@dataclass(frozen=True)
class Step:
    """One state on the way of a round."""

    name: str
    state: StepState


@dataclass(frozen=True)
class Way:
    """How far one round has come.

    Attributes:
        steps: from left to right.
        note: at its end.
    """

    name: str
    steps: tuple[Step, ...]
    note: str = ""


@dataclass(frozen=True)
class Ways:
    """Rounds below each other."""

    ways: tuple[Way, ...]


Part = Facts | Words | Table | LineChart | BarChart | Gallery | Ways


@dataclass(frozen=True)
class Section:
    """A part of a page that answers one question.

    Attributes:
        anchor: its name in addresses: letters, digits and ``-``.
        title: the question or its subject.
        shows: one sentence: what is to be seen.
        act: one sentence: what the reader should do with it.
    """

    anchor: str
    title: str
    shows: str
    act: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: first line.
        subtitle: below it.
        summary: the page in a few sentences.
        facts: the figures that matter most.
        sections: in the order in which they are read.
        made: when and by what, at the foot.
    """

    title: str
    subtitle: str
    summary: tuple[Words, ...]
    facts: Facts
    sections: tuple[Section, ...]
    made: str = ""
