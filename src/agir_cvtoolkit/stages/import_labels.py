"""``import``: labels or predictions of other tools into a run, from which ``upload-cvat`` and ``train`` go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import AgirError, ConfigError, DataError, UsageError, did_you_mean
from agir_cvtoolkit.formats.reading import Incoming
from agir_cvtoolkit.joints import JointSchema, load_schema
from agir_cvtoolkit.labelled import LabelledSet
from agir_cvtoolkit.picture_limit import reading_identity
from agir_cvtoolkit.records import Item, ManifestEntry
from agir_cvtoolkit.runs import Run, fingerprint, list_runs, make_current, open_run, start_run

from . import _predict_poses, _predict_records
from ._call import Call
from ._classes import extend_classes
from ._import_read import read_incoming
from ._import_write import RunWriter, has_files, schema_of_label, schema_of_points
from ._kind_of_run import check_kind
from ._run_joints import keep_schema
from .export import renamed

ImportFormat = Literal["coco", "yolo", "yolo-seg", "yolo-pose", "cvat", "masks"]
FORMATS: tuple[ImportFormat, ...] = ("coco", "yolo", "yolo-seg", "yolo-pose", "cvat", "masks")
"""What can be read."""
Kind = Literal["auto", "masks", "poses", "boxes"]
_AREAS = frozenset({"any", "mask", "polygon", "ellipse"})
_KINDS: Mapping[str, frozenset[str]] = {
    "masks": _AREAS,
    "poses": frozenset(),
    "boxes": _AREAS | {"rectangle"},
}
"""Of labels that a run of masks, poses or boxes takes up."""
_PASSES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "masks": ("infer-seg", _predict_records.OUTPUTS),
    "poses": ("infer-pose", _predict_poses.OUTPUTS),
    "boxes": ("import", ("manifest.jsonl", "images", "boxes")),
}
"""The stage whose place the import takes in the run, and what that owns there."""


@dataclass(frozen=True)
class ImportOptions:
    """What is read, and how.

    Attributes:
        pictures: the folder of the pictures; None: where the format has them.
        reference: COCO's annotations, where the file is a list of results.
        labels: new names of labels; an empty one leaves the label out.
        kind: what the run will hold; ``auto`` finds out, and asks where both are there.
        joints: name or file of the pose schema; None: that of the skeleton itself.
    """

    pictures: Path | None = None
    reference: Path | None = None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    kind: Kind = "auto"
    joints: str | None = None


@dataclass(frozen=True)
class ImportResult:
    """What was taken, or in a dry run would be.

    Attributes:
        run_id, run_root: None where a dry run would start one.
        kind: ``masks``, ``poses`` or ``boxes``.
        total: pictures that the file names.
        taken: of them, those that are in the manifest now; in a dry run those whose labels can be read.
        kept: of these, those that an earlier call had taken.
        labels: as they are called in the run.
        left_out: what a run cannot hold, and what was taken in another way, counted by what it is.
        items: what could not be taken.
        unlisted: how many more there are.
    """

    run_id: str | None
    run_root: Path | None
    format: str
    kind: str
    total: int
    taken: int
    kept: int
    labels: tuple[str, ...]
    left_out: Mapping[str, int] = field(hash=False)
    items: tuple[Item, ...] = ()
    unlisted: int = 0
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """0, 1 where something was left out that could not be understood, 4 where nothing could be taken."""
        if not self.items:
            return 0
        return 1 if self.taken else DataError.exit_code


def import_labels(
    dataset_format: ImportFormat, path: Path, options: ImportOptions | None = None, call: Call | None = None
) -> ImportResult:
    """Read a file or folder of another tool into a run, as predictions.

    Without ``--run`` a run is started. Of the same file, what an earlier call has taken is left alone. What cannot be
    understood is listed, and the rest goes on.

    Args:
        dataset_format: one of `FORMATS`.
        path: the file or folder.
        options: what is read, and how.
        call: options of every command.

    Raises:
        UsageError: an unknown format, nothing there, or a run that holds predictions of another kind.
        DataError: it is not of that format.
    """
    options, call = options or ImportOptions(), call or Call()
    if dataset_format not in FORMATS:
        near = did_you_mean(dataset_format, FORMATS)
        raise UsageError(
            f"'{dataset_format}' is no format to read", f"{near} There are {', '.join(FORMATS)}."
        )
    settings = call.settings()
    incoming = read_incoming(dataset_format, path, options.pictures, options.reference)
    labelled = renamed(incoming.labelled, options.labels)
    schema = _schema(labelled, options)
    kind = "poses" if schema is not None else _kind_of_areas(labelled, options)
    if call.dry_run:
        return _planned(dataset_format, labelled, incoming, kind, schema)
    run = _run(settings, call)
    stage = _PASSES[kind][0]
    check_kind(run, stage)
    make_current(run, Path(settings.io.out_root))
    with call.work(run, stage):
        given = {
            "format": dataset_format,
            "path": str(path.absolute()),
            "kind": stage,
            "labels": dict(options.labels),
        }
        call.record_config(run, "import", settings, {"import": given} | settings.dump("io"))
        return _taken(dataset_format, path, labelled, incoming, kind, schema, run, settings, call)


def _taken(
    dataset_format: str,
    path: Path,
    labelled: LabelledSet,
    incoming: Incoming,
    kind: str,
    schema: JointSchema | None,
    run: Run,
    settings: Settings,
    call: Call,
) -> ImportResult:
    stage, outputs = _PASSES[kind]
    names = tuple(label.name for label in labelled.labels if label.kind in _KINDS[kind])
    identity = fingerprint(
        "import",
        dataset_format,
        str(path.absolute()),
        _state_of(path),
        names,
        schema and schema.name,
        *reading_identity(),
    )
    stage_pass = run.begin(stage, identity, outputs)
    known = {}
    if run.manifest_path.is_file():
        known = {entry.record_id: entry for entry in run.read_manifest() if has_files(run, entry)}
    writer = RunWriter(run, f"import-{dataset_format}", kind, schema=schema)
    if kind == "masks":
        wanted = {label.name: {label.value} for label in labelled.labels if label.value}
        writer.values = extend_classes(run, names, wanted)
    elif schema is not None:
        keep_schema(run, schema)
    problems, entries, kept = incoming.problems, 0, 0
    seen: set[str] = set()
    with call.progress.bar(f"Reading {dataset_format}", labelled.count or 0) as bar:
        for picture in labelled:
            bar.advance()
            if picture.record_id in seen:
                problems.add(picture.record_id, "another picture has this name; the first one is taken")
                continue
            seen.add(picture.record_id)
            if picture.record_id in known:
                kept += 1
                continue
            try:
                run.append_manifest(writer.write(picture))
            except AgirError as error:
                if isinstance(error, UsageError):
                    raise
                problems.add(picture.record_id, str(error))
            else:
                entries += 1
    metrics: dict[str, Any] = {
        "total_records": labelled.count,
        "processed": entries + kept,
        "model": writer.model,
    }
    if kind == "masks":
        metrics |= {"classes": {str(writer.values[name]): name for name in names}, "imported": True}
    elif schema is not None:
        metrics["schema"] = schema.name
    else:
        metrics["labels"] = list(names)
    left = writer.left_out + problems.notes
    metrics |= {"left_out": dict(left), "items": [vars(item) for item in problems.items]}
    run.write_metrics(stage, metrics, number=stage_pass.number)
    run.finish(stage_pass)
    _tell_ledger(run, settings)
    return ImportResult(
        run_id=run.run_id,
        run_root=run.root,
        format=dataset_format,
        kind=kind,
        total=labelled.count or 0,
        taken=entries + kept,
        kept=kept,
        labels=names or (() if schema is None else (schema.label,)),
        left_out=dict(left),
        items=tuple(problems.items),
        unlisted=problems.unlisted,
    )


def _planned(
    dataset_format: str, labelled: LabelledSet, incoming: Incoming, kind: str, schema: JointSchema | None
) -> ImportResult:
    taken = 0
    for picture in labelled:
        if picture.path is None:
            incoming.problems.add(picture.record_id, "its picture is not at hand: --pictures FOLDER")
        else:
            taken += 1
    return ImportResult(
        run_id=None,
        run_root=None,
        format=dataset_format,
        kind=kind,
        total=labelled.count or 0,
        taken=taken,
        kept=0,
        labels=tuple(label.name for label in labelled.labels) if schema is None else (schema.label,),
        left_out=dict(incoming.problems.notes),
        items=tuple(incoming.problems.items),
        unlisted=incoming.problems.unlisted,
        dry_run=True,
    )


def _schema(labelled: LabelledSet, options: ImportOptions) -> JointSchema | None:
    """Return the joints that the run will be about, None for masks and boxes.

    Raises:
        UsageError: the set holds skeletons and areas, or several kinds of skeletons.
        ConfigError: there is no such schema.
    """
    skeletons = [label for label in labelled.labels if label.joints]
    others = [label for label in labelled.labels if not label.joints and label.kind in _AREAS]
    points = tuple(label for label in labelled.labels if label.kind == "points")
    if options.kind in {"masks", "boxes"}:
        return None
    pointed = schema_of_points(points) if not skeletons else None
    if options.kind == "auto" and not skeletons and pointed is None:
        return None
    if options.joints is not None:
        return load_schema(options.joints)
    if options.kind == "auto" and others:
        named = skeletons[0].name if skeletons else points[0].name
        raise UsageError(
            f"it holds joints ({named}) and labels of areas ({others[0].name}, ...)",
            "Say what the run shall hold: --as masks, --as poses or --as boxes",
        )
    if pointed is not None:
        return pointed
    if len({label.joints for label in skeletons}) != 1:
        found = ", ".join(label.name for label in skeletons) or "none"
        raise UsageError(
            f"a run holds one kind of skeleton, here are {found}",
            "Leave some out with --labels NAME=, or name the joints: --joints dog24",
        )
    return schema_of_label(skeletons[0])


def _kind_of_areas(labelled: LabelledSet, options: ImportOptions) -> str:
    if options.kind != "auto":
        return options.kind
    kinds = {label.kind for label in labelled.labels}
    return "boxes" if "rectangle" in kinds and not kinds & _AREAS else "masks"


def _run(settings: Settings, call: Call) -> Run:
    out_root = Path(settings.io.out_root)
    named = call.run or "/".join(part for part in (settings.project.name, settings.project.subname) if part)
    if named and named in list_runs(out_root):
        return open_run(out_root, named)
    parts = named.split("/") if named else []
    if len(parts) > 2 or not all(parts):
        raise ConfigError(f"run '{named}' cannot be started", "Name it like name or name/subname.")
    return start_run(out_root, *parts)


def _state_of(path: Path) -> object:
    """Return what changes when a file, or a folder of them, does."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return fingerprint([(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files])


def _tell_ledger(run: Run, settings: Settings) -> None:
    from agir_cvtoolkit.ledger import Ledger
    from agir_cvtoolkit.pictures import sha256_of

    if not run.manifest_path.is_file():
        return
    entries: list[tuple[ManifestEntry, str | None]] = [
        (entry, sha256_of(run.inside(entry.mask_path)) if entry.mask_path else None)
        for entry in run.read_manifest()
    ]
    with Ledger.open(settings.io.ledger_url, settings.io.out_root) as ledger:
        ledger.record_predictions(run.run_id, entries)
