"""The labels that people gave back, parted by how their pictures were chosen: what a benefit is measured with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import NoRunError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.poses import animal_area
from agir_cvtoolkit.runs import Run

from ._dataset_pairs import find_pairs
from ._evaluation import card_of, checkpoint_of
from ._pose_set import read_pose_set, samples_of
from ._retrain_split import TEST, TRAIN
from ._simulate_data import LabelledData, Truth, masks_of

Kind = Literal["segmentation", "pose"]


@dataclass(frozen=True)
class Labels:
    """What came back.

    Attributes:
        data: all of it.
        control: records that were drawn at random and can be learned from.
        chosen: those that were not drawn at random.
        test: those of the frozen test set.
        left_out: pictures that cannot be compared, in words; empty for none.
    """

    data: LabelledData
    control: tuple[str, ...]
    chosen: tuple[str, ...]
    test: tuple[str, ...]
    left_out: str = ""


def labels_of(run: Run, settings: Settings, kind: Kind) -> Labels:
    """Gather the labels of a run.

    Args:
        run: of the newest round: its masks and those of ``preprocess.source.runs``, or the poses that its model learned
            from and was tested on.
        settings: all of them.
        kind: masks or poses.

    Raises:
        NoRunError: nothing came back.
        DataError: what came back cannot be read.
    """
    with Ledger.open(settings.io.ledger_url, settings.io.out_root) as ledger:
        how = {row.unit_id: row.control for row in ledger.selections()}
        sides = ledger.split_members(settings.preprocess.split.test_set)
    if kind == "pose":
        return _poses(run, settings, how)
    found = find_pairs(run, settings)
    test = {pair.record_id for pair in found.pairs if sides.get(pair.sha256) == TEST}
    return _parted(masks_of(run.run_id, found), how, test)


def _poses(run: Run, settings: Settings, how: Mapping[str, bool]) -> Labels:
    """Take what the model of a run learned from and was tested on."""
    kept = read_pose_set(run)
    schema = card_of(checkpoint_of(run)).schema
    if kept is None or schema is None:
        raise NoRunError(f"run {run.run_id} has no poses", "Name the run that trained a pose model.")
    animals = Counter(pose.record_id for pose in kept.poses)
    names = {pose.record_id: pose.capture_id for pose in kept.poses}
    truths, sides = [], {}
    for side in (TRAIN, TEST):
        for sample in samples_of(run, kept, side, Path(settings.io.out_root)):
            # Of several animals it cannot be told who is meant; of a lone joint PCK has no measure.
            if animals[sample.record_id] > 1 or not animal_area(sample.pose, schema.joints) > 0:
                continue
            name = names[sample.record_id]
            name = name if name in how else sample.record_id
            sides[name] = side
            truths.append(Truth(name, name, sample.picture, sample=replace(sample, record_id=name)))
    truths.sort(key=lambda truth: truth.record_id)
    several = sum(count > 1 for count in animals.values())
    test = {name for name, side in sides.items() if side == TEST}
    words = f"{several} pictures with several animals were left out." if several else ""
    data = LabelledData(run.run_id, "poses", tuple(truths), schema=schema)
    return _parted(data, how, test, words)


def _parted(
    data: LabelledData,
    how: Mapping[str, bool],
    test: Collection[str],
    left_out: str = "",
) -> Labels:
    free = [t.record_id for t in data.truths if t.record_id in how and t.record_id not in test]
    return Labels(
        data,
        tuple(name for name in free if how[name]),
        tuple(name for name in free if not how[name]),
        tuple(t.record_id for t in data.truths if t.record_id in test),
        left_out,
    )
