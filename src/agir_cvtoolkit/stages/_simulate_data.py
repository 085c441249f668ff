"""Labelled pictures for a simulation: two folders, a data set version, a run's corrections, or poses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import DataError, did_you_mean
from agir_cvtoolkit.formats.deeplabcut_reader import read_deeplabcut
from agir_cvtoolkit.joints import JointSchema, load_schema
from agir_cvtoolkit.pictures import glance, load_mask
from agir_cvtoolkit.poses import Pose, read_poses
from agir_cvtoolkit.runs import Run, read_json_object
from agir_cvtoolkit.training.dataset import CLASSES, PICTURE_OF, SPLITS, TRAINED
from agir_cvtoolkit.training.pairs import pairs_from_folders
from agir_cvtoolkit.training.pose_samples import PoseSample

from ._dataset_pairs import FoundPairs, find_pairs

_TRUTH = ("labels", "masks")
_FORMS = "Give a folder with images/ and labels/, with images/ and poses/, a data set version, or CollectedData_*.csv."


@dataclass(frozen=True)
class Truth:
    """One labelled picture.

    Attributes:
        record_id: unique.
        group: what it was cut from; all of a group are on one side.
        picture: file.
        mask: 8-bit class ids; None for poses.
        sample: the pose; None for masks.
    """

    record_id: str
    group: str
    picture: Path
    mask: Path | None = None
    sample: PoseSample | None = None


@dataclass(frozen=True)
class LabelledData:
    """What a simulation is made of.

    Attributes:
        name: of the data.
        kind: ``masks`` or ``poses``.
        truths: sorted by id.
        classes: names by mask value, background first; empty for poses.
        schema: of the poses.
        tested: groups that a data set version tests on; empty where it does not say.
    """

    name: str
    kind: str
    truths: tuple[Truth, ...]
    classes: Mapping[int, str] = field(default_factory=dict)
    schema: JointSchema | None = None
    tested: frozenset[str] = frozenset()


@dataclass(frozen=True)
class HeldOut:
    """Which pictures are tested on, and never chosen from.

    Attributes:
        groups: sorted; all of them, or what each seed draws its own from.
        count: that each seed draws; None where all are tested on by every seed.
    """

    groups: tuple[str, ...] = ()
    count: int | None = None

    def by(self, seed: int) -> frozenset[str]:
        """Return the groups that a seed tests on."""
        if self.count is None:
            return frozenset(self.groups)
        drawn = np.random.default_rng([seed, 1]).permutation(len(self.groups))[: self.count]
        return frozenset(self.groups[number] for number in drawn)

    def always(self, group: str) -> bool:
        """Tell whether no seed may choose from a group."""
        return self.count is None and group in self.groups


def labelled_data(place: Path, run: Run | None, settings: Settings) -> LabelledData:
    """Find the labelled pictures of a folder, a table, or a run.

    Args:
        place: a folder or a table.
        run: whose pairs are taken instead; None for the place.
        settings: what of the run's tasks is taken.

    Raises:
        DataError: there are none, or they cannot be read.
        NoRunError: the run has none.
    """
    if run is not None:
        return masks_of(run.run_id, find_pairs(run, settings))
    tables = sorted(place.glob("CollectedData*.csv")) if place.is_dir() else [place]
    if tables and tables[0].suffix == ".csv":
        return _of_table(tables[0])
    if (place / "poses").is_dir():
        return _of_poses(place)
    truth = next((place / name for name in _TRUTH if (place / name).is_dir()), None)
    if truth is None or not (place / "images").is_dir():
        raise DataError(f"{place} holds no labelled pictures", _FORMS)
    pairs, _ = pairs_from_folders(place / "images", truth)
    splits = read_json_object(place / SPLITS) if (place / SPLITS).is_file() else {}
    of = splits.get(PICTURE_OF) or {}
    truths = [
        Truth(p.record_id, str(of.get(p.record_id, p.record_id)), p.image_path, p.mask_path) for p in pairs
    ]
    table = read_json_object(place / CLASSES) if (place / CLASSES).is_file() else {}
    names = {int(c["id"]): str(c["name"]) for c in table.get(TRAINED) or table.get("classes") or ()}
    tested = frozenset(str(of.get(name, name)) for name in splits.get("test") or ())
    return _of_masks(place.resolve().name, truths, names, tested)


def masks_of(name: str, found: FoundPairs) -> LabelledData:
    """Return pairs of pictures and masks as labelled data."""
    truths = [Truth(p.record_id, p.group, p.image_path, p.mask_path) for p in found.pairs]
    names = {c.id: c.name for c in found.classes} if found.classes else {}
    return _of_masks(name, truths, names, frozenset())


def tested_groups(data: LabelledData, listed: str | None, share: float) -> HeldOut:
    """Return the groups to test on: those that are listed, those that a data set version names, or a share by seed.

    Where every seed draws its own, intervals tell what other pictures to test on would have said, too.

    Raises:
        DataError: the list cannot be read, or names what is not there; or nothing is left on one side.
    """
    groups = sorted({truth.group for truth in data.truths})
    if listed is not None:
        names = _listed(Path(listed))
        missing = [name for name in names if name not in groups]
        if missing:
            raise DataError(f"{listed}: there is no picture '{missing[0]}'", did_you_mean(missing[0], groups))
        tested = HeldOut(tuple(sorted(set(names))))
    elif data.tested:
        tested = HeldOut(tuple(sorted(data.tested)))
    else:
        tested = HeldOut(tuple(groups), min(len(groups) - 1, max(1, round(share * len(groups)))))
    count = len(tested.groups) if tested.count is None else tested.count
    if not count or count == len(groups):
        raise DataError(
            f"of {len(groups)} pictures {count} are tested on",
            "Leave some on both sides: simulate.test.",
        )
    return tested


def _listed(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            content = json.loads(text)
            names = content["test"] if isinstance(content, dict) else content
        else:
            names = [line.strip() for line in text.splitlines() if line.strip()]
        return [str(name) for name in names]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} lists no pictures: {error}", 'Write {"test": [names]}, or a name a line.'
        ) from error


def _of_masks(
    name: str, truths: Sequence[Truth], names: Mapping[int, str], tested: frozenset[str]
) -> LabelledData:
    values: set[int] = set()
    for mask in (truth.mask for truth in truths):
        values |= set(np.unique(load_mask(mask)).tolist()) if mask else set()
    classes = {
        value: names.get(value, "background" if value == 0 else f"class {value}")
        for value in sorted(values | {0})
    }
    if len(classes) < 2:
        raise DataError(f"the masks of {name} hold nothing but background", "Give labelled pictures.")
    return LabelledData(
        name, "masks", tuple(sorted(truths, key=lambda t: t.record_id)), classes, None, tested
    )


def _of_table(table: Path) -> LabelledData:
    found = read_deeplabcut(table)
    schema = JointSchema(name=table.stem, label="animal", joints=found.joints)
    named = {str(frame.path.relative_to(table.parent).with_suffix("")): frame for frame in found.frames}
    stems = {name: Path(name).name for name in named}
    unique = len(set(stems.values())) == len(stems)
    return _of_samples(
        table.parent.resolve().name,
        {stems[name] if unique else name: (frame.path, frame.pose) for name, frame in named.items()},
        schema,
    )


def _of_poses(place: Path) -> LabelledData:
    pictures = {path.stem: path for path in sorted((place / "images").iterdir()) if path.is_file()}
    poses: dict[str, tuple[Path, Pose]] = {}
    names: set[str] = set()
    for path in sorted((place / "poses").glob("*.json")):
        name, found = read_poses(path)
        if len(found) == 1 and path.stem in pictures:
            names.add(name)
            poses[path.stem] = pictures[path.stem], found[0]
    if len(names) != 1:
        raise DataError(
            f"{place} has poses of {len(names)} schemas", "Give pictures with one animal, of one schema."
        )
    return _of_samples(place.resolve().name, poses, load_schema(names.pop()))


def _of_samples(name: str, poses: Mapping[str, tuple[Path, Pose]], schema: JointSchema) -> LabelledData:
    truths = []
    for record_id, (path, pose) in sorted(poses.items()):
        sample = PoseSample(record_id, path, pose, glance(path).size)
        if any(pose.at(joint).is_there for joint in schema.joints):
            truths.append(Truth(record_id, record_id, path, sample=sample))
    if not truths:
        raise DataError(f"{name} has no picture with a pose", _FORMS)
    return LabelledData(name, "poses", tuple(truths), schema=schema)
