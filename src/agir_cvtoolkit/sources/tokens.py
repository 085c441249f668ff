"""A filter's text in pieces: words, quoted text, operators, commas and brackets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agir_cvtoolkit.errors import QueryError

from .pointing import pointed

Kind = Literal["word", "quoted", "operator", "comma", "open", "close", "end"]

_TWO = ("==", "!=", ">=", "<=", "<>")
_ONE = "=<>"
_OPEN, _CLOSE = "([", ")]"
_QUOTES = "\"'"


@dataclass(frozen=True)
class Token:
    """A piece of a filter.

    Attributes:
        text: the piece; of quoted text what stands between the quotes.
        start, end: where it stands in the filter.
    """

    kind: Kind
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Whether this is one of the given words, in any case."""
        return self.kind == "word" and self.text.lower() in words


def tokenize(text: str) -> tuple[Token, ...]:
    """Cut a filter into tokens; the last one is always of kind ``end``.

    A quote opens quoted text only where a word could begin, so ``lamb's quarters`` needs no quoting. In
    quoted text a doubled quote is one quote, and a backslash takes a quote or a backslash literally.

    Raises:
        QueryError: quoted text does not end.
    """
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char.isspace():
            at += 1
            continue
        token = _token(text, at)
        tokens.append(token)
        at = token.end
    tokens.append(Token("end", "", len(text), len(text)))
    return tuple(tokens)


def _token(text: str, at: int) -> Token:
    char = text[at]
    if text[at : at + 2] in _TWO:
        return Token("operator", text[at : at + 2], at, at + 2)
    if char in _ONE:
        return Token("operator", char, at, at + 1)
    if char == ",":
        return Token("comma", char, at, at + 1)
    if char in _OPEN:
        return Token("open", char, at, at + 1)
    if char in _CLOSE:
        return Token("close", char, at, at + 1)
    if char in _QUOTES:
        return _quoted(text, at)
    end = at
    while end < len(text) and not _ends_word(text, end):
        end += 1
    return Token("word", text[at:end], at, end)


def _ends_word(text: str, at: int) -> bool:
    char = text[at]
    return char.isspace() or char in ",()[]=<>" or text[at : at + 2] == "!="


def _quoted(text: str, start: int) -> Token:
    quote, at, content = text[start], start + 1, ""
    while at < len(text):
        char, following = text[at], text[at + 1 : at + 2]
        if (char == "\\" and following in {quote, "\\"}) or (char == quote and following == quote):
            content += following
            at += 2
        elif char == quote:
            return Token("quoted", content, start, at + 1)
        else:
            content += char
            at += 1
    raise QueryError(
        f"filter cannot be understood: this quote does not end\n{pointed(text, start)}",
        f"Close it with {quote}; text in which a quote begins a word is put in quotes of the other kind.",
    )
