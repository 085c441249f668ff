"""``firebase submit``: play a device that sends what it is not sure of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agir_cvtoolkit.errors import AgirError, DataError, NoRunError, PictureError, UsageError
from agir_cvtoolkit.joints import ALL_JOINTS
from agir_cvtoolkit.records import Item

from ._call import Call
from ._device_poses import DevicePoses, pictures_in, poses_of_run
from ._transfer_options import with_given

if TYPE_CHECKING:
    from agir_cvtoolkit.captures import Capture
    from agir_cvtoolkit.firebase import CaptureStore

_log = logging.getLogger(__name__)
DEVICE = "agir-cvtoolkit"


@dataclass(frozen=True)
class SubmitResult:
    """What ``firebase submit`` did, or in a dry run would do.

    Attributes:
        place: of the store.
        pictures: that were looked at.
        submitted: captures that are new in the store.
        there: captures of that id that were there already.
        sure: poses at or above the threshold: a device keeps them for itself.
        failed: pictures that could not be sent.
        items: one entry for each that failed, and for each of whose poses something was not understood (``noted``).
        captures: ids of the submitted ones.
    """

    place: str
    pictures: int
    submitted: int
    there: int
    sure: int
    failed: int
    items: tuple[Item, ...]
    captures: tuple[str, ...]
    threshold: float
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """0, 1 where a picture failed, 4 where all did."""
        if not self.failed:
            return 0
        return 1 if self.failed < self.pictures else DataError.exit_code


@dataclass(frozen=True)
class _Told:
    """What became of one picture: ``submitted``, ``there``, ``sure`` or ``failed``, and what is to be said of it."""

    capture_id: str
    outcome: str
    reason: str = ""
    notes: tuple[str, ...] = ()


def firebase_submit(
    call: Call | None = None,
    *,
    pictures: Path | str | None = None,
    poses: Path | str | None = None,
    device: str = DEVICE,
    threshold: float | None = None,
    priority: int | None = None,
    joint_group: str = ALL_JOINTS,
    limit: int | None = None,
    service_account: Path | str | None = None,
) -> SubmitResult:
    """Send the pictures of whose poses a model is not sure, as a device would.

    A capture's id is the name of its picture without suffix; one that is there already is left alone, so that the
    same call can be made again. Its confidence is what the file of poses says, else the mean of its sure joints
    (of several animals that of the worst); its priority is reckoned from it. Coordinates are pixels of the upright
    picture, or Apple Vision's where the file says so.

    Args:
        call: the common options; without `pictures` the run whose poses are sent.
        pictures: a folder of pictures, or one.
        poses: a JSON file that names pictures, or a folder with ``<name>.json`` for each; None is the pictures' own.
        device: its id.
        threshold: poses below this confidence are sent; None is ``firebase.upload_threshold``.
        priority: of all of them, instead of the one that the confidence gives; 1 to 10.
        joint_group: what the captures are about.
        limit: captures, at most, the least sure first.
        service_account: as for `firebase_transfer`.

    Raises:
        UsageError: there are no pictures or poses, or an option is out of its range.
        RemoteError: the store fails.
    """
    call = call or Call()
    settings = call.settings()
    if priority is not None and not 1 <= priority <= 10:
        raise UsageError(f"the priority is {priority}", "Give --priority a number from 1 to 10.")
    group = with_given(settings.firebase, upload_threshold=threshold)
    if pictures is None:
        if poses is not None:
            raise UsageError("poses without pictures", "Name the folder of pictures too.")
        found: list[tuple[Path, Mapping[str, Any] | None]] = [*poses_of_run(call.open_run(settings))]
        if not found:
            raise NoRunError("the run holds no poses", "Run infer-pose, or name a folder of pictures.")
    else:
        known = DevicePoses.read(Path(pictures), None if poses is None else Path(poses))
        found = [(path, known.of(path)) for path in pictures_in(Path(pictures))]
    from agir_cvtoolkit.firebase import open_store

    key = None if service_account is None else Path(service_account).expanduser()
    with closing(open_store(group, service_account=key)) as store:
        device_is = _Device(
            store, device, group.upload_threshold, priority, joint_group, dry_run=call.dry_run
        )
        told = list(device_is.send(found, limit, group.parallel_requests, call))
        return _result(store.place, told, group.upload_threshold, dry_run=call.dry_run)


@dataclass(frozen=True)
class _Device:
    store: CaptureStore
    device_id: str
    threshold: float
    priority: int | None
    joint_group: str
    dry_run: bool

    def send(
        self, found: list[tuple[Path, Mapping[str, Any] | None]], limit: int | None, parallel: int, call: Call
    ) -> Iterator[_Told]:
        looked = [self._look(path, entry) for path, entry in found]
        unsure = [one for one in looked if not isinstance(one, _Told)]
        yield from (one for one in looked if isinstance(one, _Told))
        if limit is not None:
            unsure = sorted(unsure, key=lambda one: one[1].confidence)[:limit]
        send: Callable[[tuple[Path, Capture]], _Told] = self._rehearse if self.dry_run else self._send
        pool = ThreadPoolExecutor(parallel, thread_name_prefix="submit")
        with pool, call.progress.bar("firebase submit", len(unsure)) as bar:
            for told in pool.map(send, unsure):
                bar.advance()
                yield told

    def _look(self, path: Path, entry: Mapping[str, Any] | None) -> tuple[Path, Capture] | _Told:
        from agir_cvtoolkit.firebase import from_app_upload
        from agir_cvtoolkit.pictures import glance

        if entry is None:
            return _Told(path.stem, "failed", "nothing is known of its poses")
        try:
            size = glance(path).size
        except PictureError as error:
            return _Told(path.stem, "failed", error.problem)
        capture = from_app_upload(
            path.stem, entry, self.threshold, device_id=self.device_id, size=size
        ).capture
        if capture.confidence >= self.threshold:
            return _Told(capture.capture_id, "sure")
        return path, replace(
            capture,
            taken=capture.taken or datetime.now(UTC),
            priority=self.priority or capture.priority,
            joint_group=self.joint_group if capture.joint_group == ALL_JOINTS else capture.joint_group,
        )

    def _rehearse(self, one: tuple[Path, Capture]) -> _Told:
        capture = one[1]
        there = self.store.get([capture.capture_id])
        return _Told(capture.capture_id, "there" if there else "submitted", "", _notes(capture))

    def _send(self, one: tuple[Path, Capture]) -> _Told:
        path, capture = one
        try:
            new = self.store.create(capture, path.read_bytes())
        except (OSError, DataError) as error:
            reason = error.problem if isinstance(error, AgirError) else str(error)
            return _Told(capture.capture_id, "failed", reason)
        return _Told(capture.capture_id, "submitted" if new else "there", "", _notes(capture))


def _notes(capture: Capture) -> tuple[str, ...]:
    """Return what was not understood of the key points; what else a file of poses lacks is no fault here."""
    return tuple(problem for problem in capture.problems if problem.startswith("detectedPoses"))


def _result(place: str, told: list[_Told], threshold: float, *, dry_run: bool) -> SubmitResult:
    items = [Item(one.capture_id, "failed", one.reason) for one in told if one.outcome == "failed"]
    items += [Item(one.capture_id, "noted", note) for one in told for note in one.notes]

    def count(outcome: str) -> int:
        return sum(one.outcome == outcome for one in told)

    return SubmitResult(
        place=place,
        pictures=len(told),
        submitted=count("submitted"),
        there=count("there"),
        sure=count("sure"),
        failed=count("failed"),
        items=tuple(items),
        captures=tuple(one.capture_id for one in told if one.outcome == "submitted"),
        threshold=threshold,
        dry_run=dry_run,
    )
