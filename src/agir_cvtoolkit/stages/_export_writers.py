"""The writer of each format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from agir_cvtoolkit.formats.writing import Writing, in_split
from agir_cvtoolkit.labelled import LabelledPicture, LabelledSet
from agir_cvtoolkit.shapes import Skeleton


def writer_of(dataset_format: str) -> Callable[[LabelledSet, Writing], None]:
    """Return what writes a set in a format; what it needs is loaded then."""
    if dataset_format == "coco":
        from agir_cvtoolkit.formats.coco_writer import write_coco

        return write_coco
    if dataset_format in {"yolo", "yolo-seg", "yolo-pose"}:
        from agir_cvtoolkit.formats.yolo_writer import write_yolo

        task = {"yolo": "boxes", "yolo-seg": "seg", "yolo-pose": "pose"}[dataset_format]
        return partial(write_yolo, task=task)  # type: ignore[arg-type]
    if dataset_format in {"masks", "camvid"}:
        from agir_cvtoolkit.formats.mask_writer import write_camvid, write_masks

        return write_masks if dataset_format == "masks" else write_camvid
    if dataset_format == "datumaro":
        from agir_cvtoolkit.formats.datumaro_writer import write_datumaro

        return write_datumaro
    if dataset_format == "sleap":
        from agir_cvtoolkit.formats.sleap_writer import write_sleap

        return write_sleap
    if dataset_format == "deeplabcut":
        from agir_cvtoolkit.formats.deeplabcut_writer import write_deeplabcut

        return write_deeplabcut
    return _write_cvat


def _write_cvat(labelled: LabelledSet, out: Writing) -> None:
    from agir_cvtoolkit.cvat.xml_writer import write_images_xml

    def pictures() -> Iterator[LabelledPicture]:
        for picture in labelled:
            elements = (e for s in picture.shapes if isinstance(s, Skeleton) for e in s.elements)
            sure = sum(item.confidence is not None for item in (*picture.shapes, *elements))
            out.losses.add("confidences", sure)
            out.place(picture, in_split("images", picture))
            yield picture

    write_images_xml(replace(labelled, pictures=pictures), out.path("annotations.xml"))
