"""What is usual among labelled animals, found out before the first frame is returned."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import islice

from agir_cvtoolkit.captures import LabeledPose
from agir_cvtoolkit.cvat.pose_shapes import poses_of_shapes
from agir_cvtoolkit.firebase.store import CaptureStore
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.pose_quality import Population, population_of
from agir_cvtoolkit.poses import Keypoint

from ._return_frames import FrameSource

MOST_ANIMALS = 2000
"""So many are enough to know what is usual; a store may hold any number."""
ENOUGH_ANIMALS = 100
"""With fewer from other tasks, the animals that are returned now are looked at too."""
_MOST_READ = 10_000
_TIME = re.compile(r"_(\d{8}T\d{6}Z)(?:_\d+)?$")


def labelled_population(
    store: CaptureStore, schema: JointSchema, times: Collection[str], source: FrameSource
) -> Population:
    """Return what is usual among animals that were labelled before, and, where they are few, those of `source`.

    What the tasks of `source` have in the store already does not count, so that a return that was killed and is
    started again finds the same scores.

    Args:
        store: with the corrections.
        schema: only animals of it count.
        times: creation times of the tasks of `source`, as they stand in ids.
        source: what is returned now.
    """
    others = _keypoints(islice(store.all_labeled(), _MOST_READ), schema, times)
    known = list(islice(others, MOST_ANIMALS))
    if len(known) < ENOUGH_ANIMALS:
        known += islice(_of_source(source, schema), MOST_ANIMALS - len(known))
    return population_of(known, schema)


def time_of(document_id: str) -> str | None:
    """Return the creation time of the task in the id of a correction."""
    found = _TIME.search(document_id)
    return found.group(1) if found else None


def _keypoints(
    poses: Iterator[LabeledPose], schema: JointSchema, times: Collection[str]
) -> Iterator[Mapping[str, Keypoint]]:
    for pose in poses:
        if pose.schema == schema.name and time_of(pose.document_id) not in times:
            yield pose.keypoints


def _of_source(source: FrameSource, schema: JointSchema) -> Iterator[Mapping[str, Keypoint]]:
    for frame in source():
        for pose in poses_of_shapes(frame.shapes, schema, frame.size).poses:
            if pose.there:
                yield pose.keypoints
