"""Where and how a set of labelled pictures is written, and what gets lost on the way."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agir_cvtoolkit.labelled import LabelledPicture
from agir_cvtoolkit.records import Item

PicturesAs = Literal["copy", "link", "none"]
MasksAs = Literal["rle", "polygons"]
DEFAULT_SPLIT = "default"
"""Name in the files of what is not divided, as CVAT calls it."""


class Losses:
    """What a format cannot carry, counted by what it is."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, what: str, count: int = 1) -> None:
        """Count something that is not written, or not as it was; `what` is in the plural."""
        if count:
            self._counts[what] += count

    @property
    def counts(self) -> Mapping[str, int]:
        """How often, by what, most often first."""
        return dict(self._counts.most_common())


@dataclass(frozen=True, eq=False)
class Writing:
    """One set on its way into a folder.

    Attributes:
        folder: is there, and empty.
        home: where the folder will lie at last, absolute; None: where it is.
        pictures: copy the pictures' files, link to them, or leave them where they are.
        masks: how COCO gets masks.
        losses: of this set.
        items: pictures that could not be laid beside their labels.
    """

    folder: Path
    pictures: PicturesAs = "copy"
    masks: MasksAs = "rle"
    losses: Losses = field(default_factory=Losses)
    items: list[Item] = field(default_factory=list)
    home: Path | None = None

    def place(self, picture: LabelledPicture, relative: str) -> None:
        """Lay a picture's file at a path in the folder, as was asked for; list it where it is not at hand."""
        if self.pictures == "none":
            return
        if picture.path is None or not picture.path.is_file():
            self.items.append(
                Item(picture.record_id, "failed", "its picture is not at hand, its labels are written")
            )
            return
        target = self.folder / relative
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True)
        if self.pictures == "link":
            target.symlink_to(picture.path.resolve())
        else:
            shutil.copyfile(picture.path, target)

    def path(self, relative: str) -> Path:
        """Return a path in the folder whose parent is there."""
        target = self.folder / relative
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True)
        return target


def in_split(folder: str, picture: LabelledPicture) -> str:
    """Return where a picture belongs below `folder`: in the folder of its split, where it has one."""
    return (
        f"{folder}/{picture.split}/{picture.file_name}" if picture.split else f"{folder}/{picture.file_name}"
    )
