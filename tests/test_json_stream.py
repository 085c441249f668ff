from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.json_stream import texts_of


def items_of(pieces: Iterable[bytes]) -> Iterator[tuple[str, object]]:
    return ((key, orjson.loads(text)) for key, text in texts_of(pieces))


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['"', "\\", '\\"]}', "[{", "ü"]
)
_VALUES = st.recursive(
    _SCALARS | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)
_ITEMS = st.dictionaries(_TEXTS, _VALUES, max_size=3)


@given(
    st.dictionaries(_TEXTS, st.lists(_ITEMS, max_size=4) | _SCALARS | _TEXTS, max_size=4),
    st.integers(1, 40),
    st.booleans(),
)
def test_items_are_those_of_the_whole_wherever_it_is_cut(
    content: dict[str, object], length: int, spaced: bool
) -> None:
    whole = orjson.dumps(content, option=orjson.OPT_INDENT_2 if spaced else 0)
    pieces = [whole[i : i + length] for i in range(0, len(whole), length)]
    expected = [(k, item) for k, items in content.items() if isinstance(items, list) for item in items]
    assert list(items_of(pieces)) == expected


@pytest.mark.parametrize(
    "text", [b"", b"[1]", b'[{"a":1}]', b'"x"', b"null", b'{"shapes":[{"a":1}', b'{"shapes":[{"a":"', b"{}{}"]
)
def test_what_is_no_whole_object_is_refused(text: bytes) -> None:
    for pieces in ([text], [text[i : i + 1] for i in range(len(text))]):
        with pytest.raises(ValueError):
            list(items_of(pieces))


def test_an_item_that_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError):
        list(items_of([b'{"shapes":[{"a":oops}]}']))
