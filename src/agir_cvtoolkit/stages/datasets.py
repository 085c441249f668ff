"""``dataset list``, ``dataset show``, ``dataset diff``: the versions of data sets that the ledger knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import NoRunError, UsageError, did_you_mean
from agir_cvtoolkit.ledger import DatasetMember, DatasetVersion, Ledger

from ._call import Call


@dataclass(frozen=True)
class DatasetsListed:
    """All versions, newest first."""

    versions: tuple[DatasetVersion, ...]


@dataclass(frozen=True)
class DatasetShown:
    """One version.

    Attributes:
        lineage: the versions that it follows, its parent first.
        records: how many, by side.
        shares: of the training pixels, by class.
        place: where it lies now; None where it is there no more.
    """

    version: DatasetVersion
    lineage: tuple[str, ...]
    records: Mapping[str, int] = field(hash=False)
    shares: Mapping[str, float] = field(hash=False)
    place: Path | None


@dataclass(frozen=True)
class DatasetDiff:
    """What one version has and another has not.

    Attributes:
        added, removed: records of the second and of the first alone.
        corrected: records whose mask is another.
        replaced: records whose picture is another.
        moved: records on another side, with both sides.
        classes_added, classes_removed: names.
        settings: values that differ, by key: before and after.
    """

    before: str
    after: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    corrected: tuple[str, ...]
    replaced: tuple[str, ...]
    moved: Mapping[str, tuple[str, str]] = field(hash=False)
    classes_added: tuple[str, ...]
    classes_removed: tuple[str, ...]
    settings: Mapping[str, tuple[object, object]] = field(hash=False)


def dataset_list(call: Call | None = None) -> DatasetsListed:
    """List the versions of data sets."""
    settings = (call or Call()).settings()
    with _ledger(settings) as ledger:
        return DatasetsListed(tuple(ledger.datasets()))


def dataset_show(version: str | None = None, call: Call | None = None) -> DatasetShown:
    """Show a version.

    Args:
        version: the beginning of its name; None is the one that the run has.
        call: options of every command.

    Raises:
        NoRunError: the run has no data set.
        UsageError: no version begins so, or several do.
    """
    call = call or Call()
    settings = call.settings()
    with _ledger(settings) as ledger:
        known = ledger.datasets()
        shown = _one(known, version or _of_run(call, settings))
        members = ledger.dataset_members(shown.version)
    pixels = sum(shown.class_pixels)
    shares = zip(shown.classes, shown.class_pixels, strict=True)
    return DatasetShown(
        version=shown,
        lineage=lineage(known, shown),
        records=dict(sorted(Counter(member.side for member in members).items())),
        shares={name: count / pixels if pixels else 0.0 for name, count in shares},
        place=_place(shown),
    )


def dataset_diff(
    before: str | None = None, after: str | None = None, call: Call | None = None
) -> DatasetDiff:
    """Compare two versions.

    Args:
        before: the beginning of a version's name; None is the parent of `after`.
        after: of another; None is the one that the run has.
        call: options of every command.

    Raises:
        NoRunError: the run has no data set.
        UsageError: no version begins so, several do, or there is none before `after`.
    """
    call = call or Call()
    settings = call.settings()
    with _ledger(settings) as ledger:
        known = ledger.datasets()
        second = _one(known, after or _of_run(call, settings))
        if before is None and second.parent is None:
            raise UsageError(
                f"data set {second.version} is the first of its run", "Name two: dataset diff BEFORE AFTER"
            )
        first = _one(known, before or second.parent or "")
        members = [_by_record(ledger.dataset_members(v.version)) for v in (first, second)]
    return _difference(first, second, *members)


def _difference(
    first: DatasetVersion,
    second: DatasetVersion,
    old: Mapping[str, DatasetMember],
    new: Mapping[str, DatasetMember],
) -> DatasetDiff:
    both = sorted(old.keys() & new.keys())
    flat = [_flat(v.made_from.get("settings")) for v in (first, second)]
    keys = sorted(flat[0].keys() | flat[1].keys())
    return DatasetDiff(
        before=first.version,
        after=second.version,
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        corrected=tuple(r for r in both if old[r].mask_sha256 != new[r].mask_sha256),
        replaced=tuple(r for r in both if old[r].sha256 != new[r].sha256),
        moved={r: (old[r].side, new[r].side) for r in both if old[r].side != new[r].side},
        classes_added=tuple(name for name in second.classes if name not in first.classes),
        classes_removed=tuple(name for name in first.classes if name not in second.classes),
        settings={k: (flat[0].get(k), flat[1].get(k)) for k in keys if flat[0].get(k) != flat[1].get(k)},
    )


def _ledger(settings: Settings) -> Ledger:
    return Ledger.open_to_read(settings.io.ledger_url, Path(settings.io.out_root))


def _of_run(call: Call, settings: Settings) -> str:
    run = call.open_run(settings)
    version = run.read_metrics("preprocess").get("fingerprint")
    if not version:
        raise NoRunError(f"run {run.run_id} has no data set", "Make it: agir-cvtoolkit preprocess")
    return str(version)


def _one(known: Sequence[DatasetVersion], beginning: str) -> DatasetVersion:
    found = [version for version in known if version.version.startswith(beginning)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(version.version for version in found[:5])
        raise UsageError(f"several data sets begin with '{beginning}': {names}", "Write more of the name.")
    near = did_you_mean(beginning, [version.version for version in known])
    raise UsageError(
        f"no data set '{beginning}' is known", f"{near} See: agir-cvtoolkit dataset list".strip()
    )


def lineage(known: Sequence[DatasetVersion], version: DatasetVersion) -> tuple[str, ...]:
    """Return the versions that one follows, its parent first."""
    by_name = {each.version: each for each in known}
    found: list[str] = []
    parent = version.parent
    # A run that went back to an earlier version would lead in a circle.
    while parent is not None and parent not in found and parent != version.version:
        found.append(parent)
        parent = by_name[parent].parent if parent in by_name else None
    return tuple(found)


def _place(version: DatasetVersion) -> Path | None:
    """Return the folder that holds a version: where it was made, or the history of that run."""
    from agir_cvtoolkit.runs import read_json_object
    from agir_cvtoolkit.training.dataset import STATS

    made = Path(version.path)
    for folder in (made, *made.parent.glob(f"history/*/*/{made.name}")):
        if read_json_object(folder / STATS).get("fingerprint") == version.version:
            return folder
    return None


def _by_record(members: Sequence[DatasetMember]) -> dict[str, DatasetMember]:
    return {member.record_id: member for member in members}


def _flat(value: object, name: str = "") -> dict[str, object]:
    if not isinstance(value, Mapping):
        return {name: value} if name else {}
    found: dict[str, object] = {}
    for key, inner in value.items():
        found |= _flat(inner, f"{name}.{key}" if name else str(key))
    return found
