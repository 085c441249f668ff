"""The pose data set of one training: all corrections ever, with their pictures, split once and for ever."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from agir_cvtoolkit.captures import LabeledPose
from agir_cvtoolkit.ledger import PictureHash
from agir_cvtoolkit.pictures import load_rgb
from agir_cvtoolkit.poses import Keypoint
from agir_cvtoolkit.records import Item, file_stem

from ._pose_set import LearnedPose, PoseSet
from ._retrain_pictures import FetchedPicture, fetch_pictures
from ._retrain_split import SPLIT, TEST, TRAIN, Member, draw_sides

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.firebase import CaptureStore
    from agir_cvtoolkit.joints import JointSchema
    from agir_cvtoolkit.ledger import Ledger
    from agir_cvtoolkit.progress import Progress

_SLACK = 1.0
"""Pixels by which a joint may lie outside its picture: annotators reach the rim, rounding goes beyond it."""


def build_pose_set(
    store: CaptureStore, ledger: Ledger, schema: JointSchema, settings: Settings, progress: Progress
) -> PoseSet:
    """Read all corrections, fetch their pictures, and give captures that have no side yet one.

    Raises:
        RemoteError: the store cannot be reached or refuses.
        LedgerError: the ledger cannot be used.
    """
    labeled = list(store.all_labeled())
    seen = {pose.document_id: pose.revision for pose in labeled if not pose.used}
    items: list[Item] = []
    usable: dict[str, list[tuple[LabeledPose, Mapping[str, Keypoint]]]] = defaultdict(list)
    for pose in sorted(labeled, key=lambda p: p.document_id):
        points = _named(pose, schema)
        if isinstance(points, str):
            items.append(Item(pose.document_id, "skipped", points))
        else:
            usable[pose.capture_id].append((pose, points))
    tested = {name for name, side in ledger.split_members(SPLIT).items() if side == TEST}
    newest = {capture_id: max(p.made for p, _ in found) for capture_id, found in usable.items()}
    # What is tested on is never left out for want of room; then the newest count.
    wanted = sorted(newest, key=lambda c: (file_stem(c) in tested, newest[c], c), reverse=True)
    pictures, reasons = fetch_pictures(store, wanted, settings, progress)
    for capture_id, reason in reasons.items():
        items += [Item(pose.document_id, "failed", reason) for pose, _ in usable[capture_id]]
    fitting = {}
    for capture_id, picture in pictures.items():
        good, bad = _fitting(usable[capture_id], picture)
        items += bad
        if good:
            fitting[capture_id] = good
    sides, warning = _sides(store, ledger, settings, {c: pictures[c] for c in fitting}, progress)
    poses = [
        LearnedPose(
            document_id=pose.document_id,
            record_id=file_stem(capture_id),
            capture_id=capture_id,
            revision=pose.revision,
            sha256=pictures[capture_id].sha256,
            size=pictures[capture_id].size,
            side=sides[file_stem(capture_id)],
            keypoints=points,
        )
        for capture_id, found in fitting.items()
        for pose, points in found
    ]
    items += [
        Item(pose.document_id, "skipped", "pictures like it are both trained on and tested on")
        for pose in poses
        if pose.side not in {TRAIN, TEST}
    ]
    poses.sort(key=lambda pose: pose.document_id)
    items.sort(key=lambda item: item.record_id)
    return PoseSet(schema.name, tuple(poses), seen, tuple(items), warning)


def _sides(
    store: CaptureStore,
    ledger: Ledger,
    settings: Settings,
    pictures: Mapping[str, FetchedPicture],
    progress: Progress,
) -> tuple[dict[str, str], str]:
    captures = store.get(pictures)
    looks = _looks(ledger, pictures.values(), progress)
    members = []
    for capture_id, picture in pictures.items():
        capture = captures.get(capture_id)
        device, taken = (capture.device_id, capture.taken) if capture else ("", None)
        members.append(Member(file_stem(capture_id), picture.sha256, device, taken, looks[picture.sha256]))
    said = []

    def draw(known: Mapping[str, str]) -> Mapping[str, str]:
        new, warning = draw_sides(members, known, settings.retrain.test_set)
        said.append(warning)
        return new

    return ledger.grow_split(SPLIT, draw), said[-1]


def _looks(ledger: Ledger, pictures: Iterable[FetchedPicture], progress: Progress) -> dict[str, int | None]:
    """Return the perceptual hash of pictures by SHA-256; each is looked at once and remembered."""
    from agir_cvtoolkit.similarity.hashing import perceptual_hash

    by_content = {picture.sha256: picture for picture in pictures}
    known = ledger.perceptual_hashes(by_content)
    new = [picture for sha256, picture in by_content.items() if known[sha256] is None]
    found = []
    with progress.bar("looks", len(new)) as bar:
        for picture in new:
            found.append(PictureHash(picture.sha256, *picture.size, perceptual_hash(load_rgb(picture.path))))
            bar.advance()
    ledger.record_hashes(found)
    return known | {one.sha256: one.phash for one in found}


def _named(pose: LabeledPose, schema: JointSchema) -> Mapping[str, Keypoint] | str:
    """Return the joints by the schema's names, or why there are none."""
    points: dict[str, Keypoint] = {}
    for name, point in pose.keypoints.items():
        joint = schema.resolve(name)
        if joint is None or not point.is_there:
            continue
        if joint in points and name != joint:
            continue  # the joint's own name counts, not an alias of it
        points[joint] = point
    return points or f"none of its joints is one of the schema {schema.name}"


def _fitting(
    found: Sequence[tuple[LabeledPose, Mapping[str, Keypoint]]], picture: FetchedPicture
) -> tuple[list[tuple[LabeledPose, Mapping[str, Keypoint]]], list[Item]]:
    width, height = picture.size
    good, bad = [], []
    for pose, points in found:
        outside = [
            name
            for name, p in points.items()
            if not (
                math.isfinite(p.x)
                and math.isfinite(p.y)
                and -_SLACK <= p.x <= width + _SLACK
                and -_SLACK <= p.y <= height + _SLACK
            )
        ]
        if pose.size is not None and pose.size != picture.size:
            said = (
                f"it was corrected on {pose.size[0]}x{pose.size[1]} pixels, its picture has {width}x{height}"
            )
            bad.append(Item(pose.document_id, "failed", said))
        elif outside:
            bad.append(Item(pose.document_id, "failed", f"{', '.join(outside)} lies outside its picture"))
        else:
            good.append((pose, points))
    return good, bad


def fetch_again(store: CaptureStore, found: PoseSet, settings: Settings, progress: Progress) -> PoseSet:
    """Bring back pictures of a data set that the cache has lost; what is gone or another now is left out and listed.

    Raises:
        RemoteError: the store cannot be reached or refuses.
    """
    wanted = sorted({pose.capture_id for pose in found.of(TRAIN)})
    pictures, reasons = fetch_pictures(store, wanted, settings, progress)
    kept, items = [], list(found.items)
    for pose in found.poses:
        picture = pictures.get(pose.capture_id)
        if pose.side != TRAIN or (picture is not None and picture.sha256 == pose.sha256):
            kept.append(pose)
        else:
            said = reasons.get(pose.capture_id, "its picture is another now")
            items.append(Item(pose.document_id, "failed", said))
    return replace(found, poses=tuple(kept), items=tuple(items))
