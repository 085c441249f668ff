"""COCO read without trust and without holding it: annotations are parted by picture in a file that goes with the reader.

https://cocodataset.org/#format-data and #format-results
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.labelled import LabelledPicture, LabelledSet, Provenance
from agir_cvtoolkit.shapes import Shape

from .coco_index import Index, scan
from .coco_shapes import shapes_of
from .reading import Incoming, PictureFinder, Problems, record_of


def read_coco(path: Path, finder: PictureFinder, reference: Path | None = None) -> Incoming:
    """Read a file of annotations, or of results.

    Args:
        path: an object with ``images``, ``categories`` and ``annotations``, or a list of results.
        finder: of the pictures.
        reference: the annotations that name the images and categories of results.

    Raises:
        DataError: it is no such file, or breaks off.
    """
    problems = Problems()
    index = Index(tempfile.TemporaryFile())  # noqa: SIM115 - it lives as long as the pictures are read
    if reference is not None:
        scan(reference, index, problems, wanted=("images", "categories"))
    scan(path, index, problems, wanted=("images", "categories", "annotations"))
    if not index.images:
        raise DataError(
            f"{path} names no images", "Of a list of results, name the annotations too: --reference FILE."
        )
    for image_id in [key for key in index.places if key not in index.images]:
        count = len(index.places.pop(image_id)) // 2
        problems.add(f"image {image_id!r}", f"it is not listed; annotations of it: {count}")

    def pictures() -> Iterator[LabelledPicture]:
        for image_id, image in index.images.items():
            found = _picture(image_id, image, index, finder, problems)
            if found is not None:
                yield found

    return Incoming(LabelledSet(path.stem, index.labels(), len(index.images), pictures), problems)


def _picture(
    image_id: Any, image: Mapping[str, Any], index: Index, finder: PictureFinder, problems: Problems
) -> LabelledPicture | None:
    name, size = image["file_name"], (image["width"], image["height"])
    try:
        path = finder.find(name)
    except DataError as error:
        problems.add(name, str(error))
        return None
    shapes: list[Shape] = []
    places = index.places.get(image_id, array("Q"))
    for i in range(0, len(places), 2):
        index.waiting.seek(places[i])
        item: Any = orjson.loads(index.waiting.read(places[i + 1]))
        try:
            shapes += shapes_of(item, size, index.categories, problems, group=i // 2 + 1)
        except (DataError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            problems.add(name, f"annotation {item.get('id')!r}: {_said(error)}")
    if places and not shapes:
        return None  # it is no picture of nothing: what was on it is listed
    return LabelledPicture(
        record_id=record_of(name),
        file_name=name,
        path=path,
        width=size[0],
        height=size[1],
        shapes=tuple(shapes),
        provenance=Provenance("file"),
    )


def _said(error: Exception) -> str:
    return error.problem if isinstance(error, DataError) else f"it cannot be understood ({error})"
