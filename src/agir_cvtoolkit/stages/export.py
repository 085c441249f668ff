"""``export``: what was pulled, or predicted, in the formats of other tools."""

from __future__ import annotations

import re
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import NoRunError, UsageError, did_you_mean
from agir_cvtoolkit.formats.writing import MasksAs, PicturesAs, Writing, in_split
from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture, LabelledSet
from agir_cvtoolkit.progress import Bar
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import Run, discard
from agir_cvtoolkit.shapes import Shape, Skeleton

from ._call import Call
from ._export_split import split_of
from ._labelled_run import Selection, pulled_set
from ._predicted_set import predicted_set
from ._pulled import PulledTask, read_frame_maps
from ._unfinished import is_unfinished

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
        project: number of a project in CVAT: only tasks that were pushed to it.
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
    project: int | None = None
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
    run = call.open_run(settings)
    out = options.out or run.path("exports", dataset_format)
    if out.exists() and not options.overwrite and not call.dry_run:
        raise UsageError(
            f"{out} is there already", "Name another folder with --out, or replace it: --overwrite"
        )
    items: list[Item] = []
    found = _found(run, settings, options, dataset_format, items)
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
        _writer(dataset_format)(_counted(labelled, counts, bar), writing)
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
    run: Run, settings: Settings, options: ExportOptions, dataset_format: str, items: list[Item]
) -> LabelledSet:
    side = split_of(run, options.split)
    if options.predictions:
        return predicted_set(run, settings, side, items)
    tasks = tuple(read_frame_maps(run, options.task_ids or None))
    missing = set(options.task_ids) - {task.task_id for task in tasks}
    if missing:
        raise NoRunError(
            f"task {min(missing)} was not pulled into run {run.run_id}",
            f"Bring it: agir-cvtoolkit download-cvat -o cvat_download.task_ids=[{min(missing)}]",
        )
    tasks, left_out = _chosen(run, settings, options, tasks)
    selection = Selection(
        tasks,
        left_out,
        as_drawn=dataset_format in _AS_DRAWN,
        pictures=options.pictures != "none",
        split_of=side,
        items=items,
    )
    return pulled_set(run, selection)


def _chosen(
    run: Run, settings: Settings, options: ExportOptions, tasks: Sequence[PulledTask]
) -> tuple[tuple[PulledTask, ...], frozenset[int]]:
    """Return the tasks of a project, and the jobs that nobody has completed."""
    from agir_cvtoolkit.ledger import Ledger

    kept, left_out = [], set()
    with Ledger.open_to_read(settings.io.ledger_url, Path(settings.io.out_root)) as ledger:
        projects = {push_id: key.project_id for push_id, key, _ in ledger.pushes()}
        for task in tasks:
            server = task.url.rpartition("/tasks/")[0]
            pushed = ledger.task_by_id(server, task.task_id)
            project = None if pushed is None else projects.get(pushed.push_id)
            if options.project is not None and project != options.project:
                continue
            kept.append(task)
            if not options.unfinished:
                pulls = ledger.last_pulls(server, run.run_id, {frame.job_id for frame in task.frames})
                left_out |= {
                    job_id for job_id, pull in pulls.items() if is_unfinished(pull.state, pull.stage)
                }
    if tasks and not kept:
        raise NoRunError(
            f"none of the pulled tasks is known to be of project {options.project}",
            "Name the tasks: --task-id",
        )
    return tuple(kept), frozenset(left_out)


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


def _writer(dataset_format: ExportFormat) -> Callable[[LabelledSet, Writing], None]:
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
