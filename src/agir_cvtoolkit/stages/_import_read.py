"""Files of other tools as labelled pictures, each format by its own reader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from agir_cvtoolkit.cvat import read_images_xml
from agir_cvtoolkit.errors import DataError, UsageError
from agir_cvtoolkit.formats.reading import Incoming, PictureFinder, Problems, record_of, safe_name
from agir_cvtoolkit.labelled import LabelledPicture, LabelledSet, Provenance, labels_of_shapes


def read_incoming(dataset_format: str, path: Path, pictures: Path | None, reference: Path | None) -> Incoming:
    """Open a file or folder of another format.

    Args:
        dataset_format: ``coco``, ``yolo``, ``yolo-seg``, ``yolo-pose``, ``cvat`` or ``masks``.
        path: the file or folder.
        pictures: where the pictures lie; None: beside it, as the format wants it.
        reference: COCO's annotations that name the images and categories of a list of results.

    Raises:
        UsageError: it is not there.
        DataError: it is not of that format.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist", "Name a file, or a folder, of labels.")
    if reference is not None and not reference.is_file():
        raise UsageError(f"{reference} does not exist", "Name COCO's file of annotations.")
    if dataset_format in {"coco", "cvat"} and path.is_dir():
        path = _only_file(path, dataset_format)
    if dataset_format == "coco":
        from agir_cvtoolkit.formats.coco_reader import read_coco

        return read_coco(path, PictureFinder(_folders(path, pictures)), reference)
    if dataset_format == "cvat":
        return _read_cvat(path, PictureFinder(_folders(path, pictures)))
    if dataset_format == "masks":
        from agir_cvtoolkit.formats.mask_reader import read_masks

        if not path.is_dir():
            raise UsageError(f"{path} is no folder", "Name the folder of masks.")
        return read_masks(path, pictures)
    from agir_cvtoolkit.formats.yolo_reader import read_yolo

    if dataset_format == "yolo-pose":
        return read_yolo(path, pictures, "pose")
    return read_yolo(path, pictures, "seg" if dataset_format == "yolo-seg" else "boxes")


def _only_file(folder: Path, dataset_format: str) -> Path:
    suffix = ".json" if dataset_format == "coco" else ".xml"
    found = sorted(folder.rglob(f"*{suffix}"))
    if len(found) != 1:
        raise UsageError(f"there are {len(found)} files *{suffix} in {folder}", "Name the one that is meant.")
    return found[0]


def _folders(path: Path, pictures: Path | None) -> list[Path]:
    if pictures is not None:
        return [pictures]
    around = (path.parent, path.parent.parent)
    return [folder / name for folder in around for name in ("images", ".")][:3]


def _read_cvat(path: Path, finder: PictureFinder) -> Incoming:
    problems = Problems()
    count, labels = 0, labels_of_shapes(())
    kinds: dict[str, set[str]] = {}
    for image in read_images_xml(path):
        count += 1
        labels = labels_of_shapes((*image.shapes, *image.tags), labels)
        for shape in image.shapes:
            kinds.setdefault(shape.label, set()).add(shape.kind)
    # A label that only boxes or only points carry says nothing of areas.
    alone = {name: next(iter(found)) for name, found in kinds.items() if len(found) == 1}
    labels = tuple(replace(label, kind=alone.get(label.name, label.kind)) for label in labels)

    def pictures() -> Iterator[LabelledPicture]:
        for image in read_images_xml(path):
            try:
                name = str(safe_name(image.name))
                found = finder.find(name)
            except DataError as error:
                problems.add(image.name, str(error))
                continue
            for kind, reason in image.skipped:
                problems.add(record_of(name), f"a {kind}: {reason}", "skipped")
            if image.skipped and not image.shapes:
                continue  # it is no picture of nothing: what was on it is listed
            yield LabelledPicture(
                record_id=record_of(name),
                file_name=name,
                path=found,
                width=image.width,
                height=image.height,
                shapes=tuple(sorted(image.shapes, key=lambda shape: shape.z_order)),
                tags=image.tags,
                provenance=Provenance("file", frame=image.frame),
            )

    return Incoming(LabelledSet(path.stem, labels, count, pictures), problems)
