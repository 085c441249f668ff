"""``export``: what was pulled, or predicted, in the formats of other tools."""

from __future__ import annotations

import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import UsageError, did_you_mean
from agir_cvtoolkit.formats.writing import MasksAs, PicturesAs, Writing
from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture, LabelledSet
from agir_cvtoolkit.progress import Bar
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import Run, discard
from agir_cvtoolkit.shapes import Shape

from ._call import Call
from ._export_source import choose
from ._export_split import split_of
from ._export_writers import writer_of
from ._labelled_run import Selection, pulled_set
from ._predicted_set import predicted_set

ExportFormat = Literal[
    "coco", "yolo", "yolo-seg", "yolo-pose", "masks", "cvat", "datumaro", "camvid", "sleap", "deeplabcut"
]
FORMATS: tuple[ExportFormat, ...] = (
    "coco", "yolo", "yolo-seg", "yolo-pose", "masks", "cvat", "datumaro", "camvid", "sleap", "deeplabcut",
)  # fmt: skip
"""What can be written."""
STAGE = "export"
_AS_DRAWN = frozenset({"cvat", "datumaro"})
_SAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class ExportOptions:
    """What is written, and how.

    Attributes:
        out: a folder that is not there yet; None is ``exports/<format>`` of the run.
        task_ids: of pulled tasks; none: all of the run.
        project: number or name of a project in CVAT: only its tasks.
        predictions: what the run predicted in place of what was pulled.
        unfinished: also jobs that nobody has completed, where they were pulled.
        masks: how COCO gets masks.
        pictures: copy the files, link to them, or leave them where they are.
        labels: new names of labels; an empty one leaves the label out.
        split: ``none``, ``run`` (as the run's data set is divided), or shares such as ``80/10/10``.
        overwrite: a folder that is there is replaced, once the new one is whole.
    """

    out: Path | None = None
    task_ids: tuple[int, ...] = ()
    project: str | int | None = None
    predictions: bool = False
    unfinished: bool = False
    masks: MasksAs = "rle"
    pictures: PicturesAs = "copy"
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    split: str = "none"
    overwrite: bool = False


@dataclass(frozen=True)
class ExportResult:
    """What was written, or in a dry run would be.

    Attributes:
        out: the folder.
        pictures: written; in a dry run those that would be.
        shapes: on them.
        empty: pictures without a shape.
        labels: as they are called there.
        splits: pictures by side.
        losses: what the format cannot hold, with how often.
        items: pictures that are not at hand, and records that could not be read.
    """

    run_id: str
    format: str
    out: Path
    pictures: int
    shapes: int
    empty: int
    labels: tuple[str, ...]
    splits: Mapping[str, int] = field(hash=False)
    losses: Mapping[str, int] = field(hash=False)
    items: tuple[Item, ...]
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """0, or 1 where something could not be written; what a format cannot hold is no fault."""
        return 1 if self.items else 0


def export(
    dataset_format: ExportFormat, options: ExportOptions | None = None, call: Call | None = None
) -> ExportResult:
    """Write what was pulled into a folder, which appears whole or not at all.

    Args:
        dataset_format: one of `FORMATS`.
        options: what is written, and how.
        call: options of every command.

    Raises:
        UsageError: an unknown format, a folder that is there already, or nothing that the format can hold.
        NoRunError: there is no run, or no finished work in it.
        MissingExtraError: SLEAP's files need h5py.
        DataError: a file of the run is damaged.
    """
    options, call = options or ExportOptions(), call or Call()
    if dataset_format not in FORMATS:
        near = did_you_mean(dataset_format, FORMATS)
        raise UsageError(
            f"'{dataset_format}' is no format to write", f"{near} There are {', '.join(FORMATS)}."
        )
    settings = call.settings()
    items: list[Item] = []
    run, found = _found(call, settings, options, dataset_format, items)
    out = options.out or run.path("exports", dataset_format)
    if out.exists() and not options.overwrite and not call.dry_run:
        raise UsageError(
            f"{out} is there already", "Name another folder with --out, or replace it: --overwrite"
        )
    labelled = renamed(found, options.labels)
    if call.dry_run:
        return _result(run, dataset_format, out, labelled, Counter(), (), {}, dry_run=True)
    counts: Counter[str] = Counter()
    with (
        call.work(run, STAGE),
        call.progress.bar(f"Writing {dataset_format}", labelled.count or 0) as bar,
        _whole(out) as folder,
    ):
        writing = Writing(folder, options.pictures, options.masks, items=items, home=out.absolute())
        writer_of(dataset_format)(_counted(labelled, counts, bar), writing)
    return _result(
        run, dataset_format, out, labelled, counts, tuple(items), writing.losses.counts, dry_run=False
    )


def renamed(labelled: LabelledSet, names: Mapping[str, str]) -> LabelledSet:
    """Return a set whose labels have other names; one whose new name is empty is left out with its shapes.

    Raises:
        UsageError: a label that the set does not have, or two kinds of skeletons under one name.
    """
    if not names:
        return labelled
    for name in names:
        if labelled.label(name) is None:
            known = [label.name for label in labelled.labels]
            raise UsageError(
                f"there is no label '{name}'",
                f"{did_you_mean(name, known)} There are {', '.join(known)}.".strip(),
            )
    labels: dict[str, LabelEntry] = {}
    for label in labelled.labels:
        name = names.get(label.name, label.name)
        if not name:
            continue
        other = labels.setdefault(name, replace(label, name=name))
        if other.joints != label.joints:
            raise UsageError(
                f"labels with other joints would both be called '{name}'", "Choose another name."
            )

    def pictures() -> Iterator[LabelledPicture]:
        for picture in labelled:
            shapes: Iterator[Shape] = (replace(s, label=names.get(s.label, s.label)) for s in picture.shapes)
            tags = (replace(tag, label=names.get(tag.label, tag.label)) for tag in picture.tags)
            yield replace(
                picture,
                shapes=tuple(shape for shape in shapes if shape.label),
                tags=tuple(tag for tag in tags if tag.label),
            )

    return LabelledSet(labelled.name, tuple(labels.values()), labelled.count, pictures)


def _found(
    call: Call, settings: Settings, options: ExportOptions, dataset_format: str, items: list[Item]
) -> tuple[Run, LabelledSet]:
    if options.predictions:
        run = call.open_run(settings)
        return run, predicted_set(run, settings, split_of(run, options.split), items)
    chosen = choose(call, settings, options.task_ids, options.project, unfinished=options.unfinished)
    items += chosen.items
    selection = Selection(
        chosen.tasks,
        chosen.left_out,
        as_drawn=dataset_format in _AS_DRAWN,
        pictures=options.pictures != "none",
        split_of=split_of(chosen.run, options.split),
        items=items,
    )
    return chosen.run, pulled_set(chosen.run, selection)


def _counted(labelled: LabelledSet, counts: Counter[str], bar: Bar) -> LabelledSet:
    def pictures() -> Iterator[LabelledPicture]:
        for picture in labelled:
            yield picture
            counts["pictures"] += 1
            counts["shapes"] += len(picture.shapes)
            counts["empty"] += not picture.shapes
            counts[f"split {picture.split or ''}"] += 1
            bar.advance()

    return replace(labelled, pictures=pictures)


def _result(
    run: Run,
    dataset_format: str,
    out: Path,
    labelled: LabelledSet,
    counts: Mapping[str, int],
    items: tuple[Item, ...],
    losses: Mapping[str, int],
    *,
    dry_run: bool,
) -> ExportResult:
    sides = {name[6:]: count for name, count in counts.items() if name.startswith("split ") and name[6:]}
    return ExportResult(
        run_id=run.run_id,
        format=dataset_format,
        out=out,
        pictures=(labelled.count or 0) if dry_run else counts.get("pictures", 0),
        shapes=counts.get("shapes", 0),
        empty=counts.get("empty", 0),
        labels=tuple(label.name for label in labelled.labels),
        splits=sides,
        losses=losses,
        items=items,
        dry_run=dry_run,
    )


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` to write to; it takes the name, and the place of what had it, when all is written."""
    out.parent.mkdir(parents=True, exist_ok=True)
    mark = secrets.token_hex(4)
    stem = _SAFE.sub("_", out.name)[:80]
    part, old = out.with_name(f".{stem}.{mark}.part"), out.with_name(f".{stem}.{mark}.old")
    part.mkdir()
    try:
        yield part
        if out.exists():
            out.rename(old)
        part.rename(out)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        discard(old)
