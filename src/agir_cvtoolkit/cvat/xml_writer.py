"""The format "CVAT for images 1.1" written as a stream, as CVAT takes it under the name "CVAT 1.1".

Masks are exact, and so are coordinates: CVAT itself rounds them to 1/100 pixel when it exports, not when it reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape, quoteattr

from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture, LabelledSet, coloured
from agir_cvtoolkit.shapes import Ellipse, Mask, Points, Rectangle, Shape, Skeleton, Tag

_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REPLACEMENT = "\ufffd"


def write_images_xml(labelled: LabelledSet, path: Path) -> None:
    """Write a set.

    Of a confidence nothing is written: the format has no place for it. Characters that XML cannot hold become U+FFFD.

    Args:
        labelled: the set; images are numbered in its order.
        path: of ``annotations.xml``.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        _write_meta(labelled, stream)
        for number, picture in enumerate(labelled):
            stream.writelines(f"{line}\n" for line in _image(picture, number))
        stream.write("</annotations>\n")


def _write_meta(labelled: LabelledSet, stream: IO[str]) -> None:
    stream.write(f"  <meta>\n    <task>\n      <name>{_text(labelled.name)}</name>\n      <labels>\n")
    colours = coloured(labelled.labels)
    for label in labelled.labels:
        stream.writelines(f"        {line}\n" for line in _label(label, colours[label.name]))
    stream.write("      </labels>\n    </task>\n  </meta>\n")


def _label(label: LabelEntry, colour: str) -> Iterator[str]:
    yield "<label>"
    yield f"  <name>{_text(label.name)}</name>"
    yield f"  <color>{_text(colour)}</color>"
    yield f"  <type>{_text(label.kind)}</type>"
    yield "  <attributes>"
    for name in label.attributes:
        words = "<mutable>False</mutable><input_type>text</input_type><default_value></default_value><values></values>"
        yield f"    <attribute><name>{_text(name)}</name>{words}</attribute>"
    yield "  </attributes>"
    yield "</label>"
    for joint in label.joints:
        yield (
            f"<label><name>{_text(joint)}</name><type>points</type><attributes></attributes>"
            f"<parent>{_text(label.name)}</parent></label>"
        )


def _image(picture: LabelledPicture, number: int) -> Iterator[str]:
    subset = {"subset": picture.split} if picture.split else {}
    words = {
        "id": number,
        "name": picture.file_name,
        **subset,
        "width": picture.width,
        "height": picture.height,
    }
    lines = list(chain.from_iterable(map(_shape, picture.shapes)))
    lines += chain.from_iterable(map(_tag, picture.tags))
    yield f"  <image {_given(words)}>"
    yield from (f"    {line}" for line in lines)
    yield "  </image>"


def _shape(shape: Shape) -> Iterator[str]:
    words: dict[str, object] = {"label": shape.label, "source": shape.source}
    if shape.group:
        words["group_id"] = shape.group
    if isinstance(shape, Skeleton):
        inner = [*_attributes(shape), *chain.from_iterable(map(_element, shape.elements))]
        yield from _tagged("skeleton", words | {"z_order": shape.z_order}, inner)
        return
    words["occluded"] = int(shape.occluded)
    name = "box" if isinstance(shape, Rectangle) else shape.kind
    if isinstance(shape, Mask):
        left, top, right, bottom = shape.box
        words["rle"] = ", ".join(map(str, shape.runs.tolist()))
        words |= {"left": left, "top": top, "width": right - left + 1, "height": bottom - top + 1}
    elif isinstance(shape, Rectangle):
        (x1, y1), (x2, y2) = shape.points
        words |= {"xtl": _number(x1), "ytl": _number(y1), "xbr": _number(x2), "ybr": _number(y2)}
    elif isinstance(shape, Ellipse):
        (cx, cy), (rx, ry) = shape.points[0], shape.radii
        words |= {"cx": _number(cx), "cy": _number(cy), "rx": _number(rx), "ry": _number(ry)}
    else:
        words["points"] = ";".join(f"{_number(x)},{_number(y)}" for x, y in shape.points)
    if isinstance(shape, Rectangle | Ellipse) and shape.rotation:
        words["rotation"] = _number(shape.rotation)
    yield from _tagged(name, words | {"z_order": shape.z_order}, _attributes(shape))


def _element(element: Points) -> Iterator[str]:
    words = {
        "label": element.label,
        "source": element.source,
        "outside": int(element.outside),
        "occluded": int(element.occluded),
        "points": ";".join(f"{_number(x)},{_number(y)}" for x, y in element.points),
    }
    yield from _tagged("points", words, _attributes(element))


def _tag(tag: Tag) -> Iterator[str]:
    group = {"group_id": tag.group} if tag.group else {}
    yield from _tagged("tag", {"label": tag.label, "source": tag.source, **group}, _attributes(tag))


def _attributes(item: Shape | Tag) -> list[str]:
    return [f"<attribute name={_quoted(n)}>{_text(v)}</attribute>" for n, v in item.attributes.items()]


def _tagged(name: str, words: dict[str, object], inner: Iterable[str]) -> Iterator[str]:
    yield f"<{name} {_given(words)}>"
    yield from (f"  {line}" for line in inner)
    yield f"</{name}>"


def _given(words: dict[str, object]) -> str:
    return " ".join(f"{name}={_quoted(str(value))}" for name, value in words.items())


def _quoted(text: str) -> str:
    return quoteattr(_NOT_IN_XML.sub(_REPLACEMENT, text))


def _text(text: str) -> str:
    # A carriage return would come back as a line feed.
    return escape(_NOT_IN_XML.sub(_REPLACEMENT, text), {"\r": "&#13;"})


def _number(value: float) -> str:
    text = f"{value:.2f}"
    return text if float(text) == value else repr(float(value))
