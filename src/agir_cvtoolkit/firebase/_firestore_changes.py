"""Changes of many captures in Firestore with few requests, none of which undoes what another has done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agir_cvtoolkit.captures import Capture

from ._calls import Calls, OvertakenError
from ._documents import GROUP, commit, version_of, when_of
from ._lease import Change, capture_after, has_landed
from ._names import document_key

_AT_ONCE = 4


class GroupedChanges:
    """Writes changes of captures in groups, each group in one atomic request.

    Args:
        client: Google's.
        reference: gives the reference of a capture's document by its id.
        snapshots: reads documents by name.
        capture_of: gives the capture in a snapshot.
    """

    def __init__(
        self,
        client: Any,
        calls: Calls,
        reference: Callable[[str], Any],
        snapshots: Callable[[Sequence[str]], list[Any]],
        capture_of: Callable[[Any], Capture],
    ) -> None:
        self._client = client
        self._calls = calls
        self._reference = reference
        self._snapshots = snapshots
        self._capture_of = capture_of

    def write(self, changes: Iterable[tuple[Capture, Change]]) -> list[Capture]:
        """Change captures that nobody has changed since they were read; return these, in their order."""
        wanted = {document_key(capture.capture_id): (capture, change) for capture, change in changes}
        keys = [key for key, (capture, _) in wanted.items() if capture.version]
        groups = [keys[start : start + GROUP] for start in range(0, len(keys), GROUP)]
        if len(groups) < 2:
            done = self._write_group(keys, wanted)
        else:
            with ThreadPoolExecutor(_AT_ONCE, "changes") as pool:
                found = pool.map(lambda group: self._write_group(group, wanted), groups)
                done = {key: capture for part in found for key, capture in part.items()}
        return [done[key] for key in wanted if key in done]

    def _write_group(
        self, keys: list[str], wanted: Mapping[str, tuple[Capture, Change]]
    ) -> dict[str, Capture]:
        groups = [keys] if keys else []
        done: dict[str, Capture] = {}
        while groups:
            group = groups.pop(0)
            try:
                times = self._commit([wanted[key] for key in group])
            except OvertakenError as overtaken:
                groups[:0] = self._sifted(group, wanted, done, unsure=overtaken.unsure)
                continue
            for key, when in zip(group, times, strict=True):
                done[key] = capture_after(*wanted[key], version_of(when))
        return done

    def _commit(self, group: Sequence[tuple[Capture, Change]]) -> list[Any]:
        batch = self._client.batch()
        for capture, change in group:
            option = self._client.write_option(last_update_time=when_of(capture.version))
            batch.update(self._reference(capture.capture_id), fields_of(change), option=option)
        return [result.update_time for result in commit(self._calls, f"change {len(group)} captures", batch)]

    def _sifted(
        self,
        group: list[str],
        wanted: Mapping[str, tuple[Capture, Change]],
        done: dict[str, Capture],
        *,
        unsure: bool,
    ) -> list[list[str]]:
        """Return what of a group that was overtaken is to be tried again, in groups.

        A write without an answer may have been done as a whole; what it did goes to `done`.
        """
        left = []
        there = {snapshot.id: snapshot for snapshot in self._snapshots(group) if snapshot.exists}
        for key in (key for key in group if key in there):
            capture, change = wanted[key]
            if version_of(there[key].update_time) == capture.version:
                left.append(key)
            elif unsure and has_landed(there[key].to_dict(), change):
                done[key] = self._capture_of(there[key])
        if len(left) < len(group):
            return [left] if left else []
        # None is seen to have changed: smaller groups get through between the others' writes.
        middle = len(left) // 2
        return [left[:middle], left[middle:]] if middle else []


def fields_of(change: Change) -> dict[str, Any]:
    """Return what Firestore is told: fields that are set, and those that go."""
    from google.cloud.firestore import DELETE_FIELD

    return dict(change.fields) | dict.fromkeys(change.removed, DELETE_FIELD)
