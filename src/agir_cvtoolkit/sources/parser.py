"""The grammar of ``--filters``: text to conditions.

::

    filter     = or
    or         = and { OR and }
    and        = unary { ("," | AND) unary }      equalities of one column joined by "," are alternatives
    unary      = [NOT] ( "(" or ")" | has_mask [("=" | "==" | "!=") truth] | column test )
    test       = ("=" | "==" | "!=") values | (">=" | "<=" | ">" | "<") value | [NOT] LIKE value
               | [NOT] IN list | [NOT] BETWEEN (list of two | value AND value) | IS [NOT] NULL
    values     = list | value { "," value }
    list       = "[" value { "," value } "]" | "(" value { "," value } ")"
    value      = quoted text | words up to the next comma, bracket or AND/OR before another test
    column     = quoted text | word without , ( ) [ ] = < > and !=

A comma belongs to the values unless another test follows it. Keywords are written in any case. AND binds more
than OR, NOT more than AND. A quote is closed by the same one, ``"`` or ``'``; doubled it is one of the text.
"""

from __future__ import annotations

from agir_cvtoolkit.errors import QueryError

from .conditions import (
    AnyOf,
    Comparison,
    Condition,
    MaskTest,
    Membership,
    Not,
    NullTest,
    Operator,
    Range,
    Value,
    all_of,
    alternatives_merged,
    one_of,
)
from .pointing import Spot, pointed, pointing
from .shorthand import MASK_KEYS, mask_test
from .tokens import Token, tokenize

_MAX_DEPTH = 40
_OPERATORS: dict[str, Operator] = {
    "=": "==",
    "==": "==",
    "!=": "!=",
    "<>": "!=",
    ">=": ">=",
    "<=": "<=",
    ">": ">",
    "<": "<",
}
_PAIRS = {"(": ")", "[": "]"}
SUPPORTED = (
    "Filters look like key=value, key=a,b, key!=value, key>=5, key in [a,b], key between 1 and 9, "
    "key like 'NC%', key is null, has_mask, joined by a comma, AND, OR, NOT and parentheses; "
    "put text with special characters in quotes."
)


def parse_text(text: str) -> Condition:
    """Parse one filter.

    Raises:
        QueryError: it cannot be understood.
    """
    parser = _Parser(text)
    condition = parser.alternatives(0)
    parser.expect_end()
    return condition


class _Parser:
    """Reads one filter from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.at = 0

    # --- looking ----------------------------------------------------------------------------------------

    def peek(self, ahead: int = 0) -> Token:
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def take(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def test_follows(self, ahead: int = 0) -> bool:
        """Whether a test, not a value, begins at the token `ahead` of the next one."""
        while self.peek(ahead).is_word("not") or self.peek(ahead).text == "(":
            ahead += 1
        token, second, third = self.peek(ahead), self.peek(ahead + 1), self.peek(ahead + 2)
        if token.kind not in {"word", "quoted"}:
            return False
        if second.kind == "operator":
            return True
        if second.is_word("not") and third.is_word("in", "between", "like"):
            return True
        if second.is_word("in"):
            return third.kind == "open"
        if second.is_word("is"):
            return third.is_word("null") or (third.is_word("not") and self.peek(ahead + 3).is_word("null"))
        if second.is_word("between", "like"):
            return third.kind in {"word", "quoted", "open"}
        return token.is_word(*MASK_KEYS) and (
            second.kind in {"comma", "end", "close"} or second.is_word("and", "or")
        )

    def joins(self) -> bool:
        """Whether the next token is AND or OR before another test."""
        return self.peek().is_word("and", "or") and self.test_follows(1)

    def fail(self, problem: str, token: Token | None = None) -> QueryError:
        token = token or self.peek()
        return QueryError(
            f"filter cannot be understood: {problem}\n{pointed(self.text, token.start)}", SUPPORTED
        )

    def spot(self, token: Token) -> Spot:
        return Spot(self.text, token.start)

    def expect_end(self) -> None:
        if self.peek().kind != "end":
            raise self.fail(f"unexpected '{self.peek().text}'")

    # --- joining ----------------------------------------------------------------------------------------

    def alternatives(self, depth: int) -> Condition:
        if depth > _MAX_DEPTH:
            raise self.fail(f"parentheses and NOT are nested more than {_MAX_DEPTH} deep")
        parts = [self.conjunction(depth)]
        while self.peek().is_word("or"):
            self.take()
            parts.append(self.conjunction(depth))
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def conjunction(self, depth: int) -> Condition:
        parts: list[Condition] = []
        run = [self.unary(depth)]
        while self.peek().kind == "comma" or self.peek().is_word("and"):
            if self.take().kind == "comma":
                run.append(self.unary(depth))
            else:
                parts += alternatives_merged(run)
                run = [self.unary(depth)]
        return all_of(parts + alternatives_merged(run))

    def unary(self, depth: int) -> Condition:
        if depth > _MAX_DEPTH:
            raise self.fail(f"parentheses and NOT are nested more than {_MAX_DEPTH} deep")
        if self.peek().is_word("not") and self.peek(1).kind != "operator":
            self.take()
            return Not(self.unary(depth + 1))
        if self.peek().kind == "open" and self.peek().text == "(":
            opening = self.take()
            inner = self.alternatives(depth + 1)
            self.close(opening)
            return inner
        return self.test()

    def close(self, opening: Token) -> None:
        wanted = _PAIRS[opening.text]
        if self.peek().kind != "close" or self.peek().text != wanted:
            raise self.fail(f"'{wanted}' is missing for this '{opening.text}'", opening)
        self.take()

    # --- tests ------------------------------------------------------------------------------------------

    def test(self) -> Condition:
        key = self.peek()
        if key.kind not in {"word", "quoted"}:
            raise self.fail("a column name is missing", key)
        self.take()
        if key.is_word(*MASK_KEYS):
            return self.mask(key)
        if self.peek().kind == "operator":
            return self.comparison(key)
        negated = self.peek().is_word("not")
        if negated:
            self.take()
        word = self.peek()
        if word.is_word("in"):
            self.take()
            return Membership(key.text, self.listed(), negated, closed=True, spot=self.spot(key))
        if word.is_word("between"):
            self.take()
            return Range(key.text, *self.bounds(), negated, self.spot(key))
        if word.is_word("like"):
            self.take()
            like = Comparison(key.text, "like", self.value(), self.spot(key))
            return Not(like) if negated else like
        if word.is_word("is") and not negated:
            return NullTest(key.text, self.not_null(), self.spot(key))
        raise self.fail(f"'{key.text}' is not followed by a comparison", word)

    def mask(self, key: Token) -> Condition:
        if self.peek().kind != "operator":
            return MaskTest(True, self.spot(key))
        operator = _OPERATORS[self.take().text]
        if operator not in {"==", "!="}:
            raise self.fail(f"{key.text} is either true or false", key)
        value = self.value()
        with pointing(value.spot):
            return mask_test(key.text, value.content, self.spot(key), negated=operator == "!=")

    def comparison(self, key: Token) -> Condition:
        column, spot = key.text, self.spot(key)
        operator = _OPERATORS[self.take().text]
        if operator in {"==", "!="}:
            values = self.values()
            if operator == "==":
                return one_of(column, values, spot)
            if len(values) == 1:
                return Comparison(column, "!=", values[0], spot)
            return Membership(column, values, True, spot=spot)
        value = self.value()
        if self.peek().kind == "comma" and not self.test_follows(1):
            raise self.fail(f"'{operator}' takes one value, only = and != take several")
        return Comparison(column, operator, value, spot)

    def listed(self) -> tuple[Value, ...]:
        if self.peek().kind != "open":
            raise self.fail("IN takes a list such as [a, b]")
        return self.bracketed()

    def bounds(self) -> tuple[Value, Value]:
        if self.peek().kind == "open":
            values = self.bracketed()
            if len(values) != 2:
                raise self.fail(f"BETWEEN takes two values, here are {len(values)}", self.peek())
            return values[0], values[1]
        low = self.value(before_and=True)
        if not self.peek().is_word("and"):
            raise self.fail("BETWEEN takes two values: between 1 and 9")
        self.take()
        return low, self.value()

    def not_null(self) -> bool:
        self.take()
        negated = self.peek().is_word("not")
        if negated:
            self.take()
        if not self.peek().is_word("null"):
            raise self.fail("IS is followed by NULL or NOT NULL")
        self.take()
        return negated

    # --- values -----------------------------------------------------------------------------------------

    def values(self) -> tuple[Value, ...]:
        if self.peek().kind == "open":
            values = self.bracketed()
            if not self.ended():
                raise self.fail(f"unexpected '{self.peek().text}' after the list; quote text with brackets")
            return values
        values = (self.value(),)
        while self.peek().kind == "comma" and not self.test_follows(1):
            self.take()
            values += (self.value(),)
        return values

    def bracketed(self) -> tuple[Value, ...]:
        opening = self.take()
        values: list[Value] = []
        while self.peek().kind not in {"close", "end"}:
            values.append(self.value(in_list=True))
            if self.peek().kind == "comma":
                self.take()
        if not values and self.peek().kind == "close":
            raise self.fail("the list is empty")
        self.close(opening)
        return tuple(values)

    def ended(self) -> bool:
        return self.peek().kind in {"comma", "close", "end"} or self.peek().is_word("and", "or")

    def value(self, *, in_list: bool = False, before_and: bool = False) -> Value:
        first = self.peek()
        if first.kind == "quoted":
            self.take()
            if not self.ended():
                raise self.fail(f"unexpected '{self.peek().text}' after quoted text")
            return Value(first.text, literal=True, spot=self.spot(first))
        depth, last = 0, None
        while True:
            token = self.peek()
            if depth == 0 and self.stops(token, last, in_list=in_list, before_and=before_and):
                break
            if token.kind == "end":
                raise self.fail("a bracket does not close; quote text with brackets")
            if token.kind == "operator":
                raise self.fail(f"unexpected '{token.text}' in a value; quote text with special characters")
            if last is not None and not in_list and token.is_word("and", "or"):
                raise self.fail(
                    f"no comparison follows '{token.text}'; write key in (a, b) for alternatives, "
                    "or put the text in quotes"
                )
            depth += (token.kind == "open") - (token.kind == "close")
            last = self.take()
        if last is None:
            raise self.fail('a value is missing; write "" for an empty text')
        return Value(self.text[first.start : last.end], spot=self.spot(first))

    def stops(self, token: Token, last: Token | None, *, in_list: bool, before_and: bool) -> bool:
        if token.kind in {"comma", "close", "end"}:
            return True
        if token.kind == "open" and last is None:
            raise self.fail("a single value is expected, not a list")
        if before_and and token.is_word("and"):
            return True
        return not in_list and self.joins()
