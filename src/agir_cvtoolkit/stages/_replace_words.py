"""What is to go out of a job, what is to come, and how far that is, judged by what the job holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agir_cvtoolkit.cvat.replacing import HeldShape, JobContent

OLD_THERE = -1
"""No new proposal is in the job yet, all old ones are."""


@dataclass(frozen=True)
class Exchange:
    """A replacement in one job, in signatures of shapes.

    Attributes:
        keep: what stays: proposals of other frames, and those that old and new predictions have in common.
        old: what goes.
        new: what comes, in the order in which it is sent.
        positions: by frame, the positions of what comes among the frame's new shapes.
        frames: on which something goes or comes.
    """

    keep: Counter[str]
    old: Counter[str]
    new: tuple[str, ...]
    positions: Mapping[int, tuple[int, ...]]
    frames: frozenset[int]

    @property
    def is_empty(self) -> bool:
        """Whether nothing has to be written."""
        return not self.old and not self.new

    @property
    def end(self) -> int:
        """The value of `found_in` when everything is done."""
        return len(self.new)

    def found_in(self, content: JobContent, at_least: int = OLD_THERE) -> int | None:
        """Return how far the replacement is.

        Args:
            content: of the job.
            at_least: how far it is known to have come.

        Returns:
            `OLD_THERE`, or how many of the new shapes have arrived, the old ones being gone; None where
            the job holds something that this tool cannot have left there.
        """
        held = content.signatures()
        if content.others or self.keep - held:
            return None
        rest = held - self.keep
        if self.old and rest == self.old:
            found = OLD_THERE
        else:
            found = rest.total()
            if found > len(self.new) or rest != Counter(self.new[:found]):
                return None
            if not found and not self.old:
                # Nothing was to go and nothing has come: the job looks the same before and after.
                found = min(at_least, 0)
        return found if found >= at_least else None

    def is_done_in(self, content: JobContent) -> bool:
        """Whether the job holds exactly what was to stay and what was to come."""
        return not content.others and content.signatures() == self.keep + Counter(self.new)

    def doubled_in(self, content: JobContent) -> list[HeldShape]:
        """Return the newest copies of new shapes that came twice, where nothing else is in the job or missing.

        They are the same in everything that a person could change.
        """
        expected = self.keep + Counter(self.new)
        held = content.signatures()
        extra = held - expected
        if content.others or expected - held or set(extra) - set(self.new):
            return []
        copies = []
        for shape in sorted(content.shapes, key=lambda shape: shape.id, reverse=True):
            if extra[shape.signature] > 0:
                extra[shape.signature] -= 1
                copies.append(shape)
        return copies


def exchange_of(left: Mapping[int, Sequence[str]], staged: Iterable[tuple[int, Sequence[str]]]) -> Exchange:
    """Compare what was left in a job with what is to be there.

    Args:
        left: signatures by frame, of all frames of the job.
        staged: signatures of the frames that change, in their order.
    """
    keep: Counter[str] = Counter()
    old: Counter[str] = Counter()
    new: list[str] = []
    positions: dict[int, tuple[int, ...]] = {}
    frames = set()
    changed = set()
    for frame, signatures in staged:
        changed.add(frame)
        before = Counter(left.get(frame, ()))
        coming = []
        for position, signature in enumerate(signatures):
            if before[signature] > 0:
                before[signature] -= 1
                keep[signature] += 1
            else:
                coming.append(position)
                new.append(signature)
        going = +before
        old += going
        positions[frame] = tuple(coming)
        if coming or going:
            frames.add(frame)
    for frame, signatures in left.items():
        if frame not in changed:
            keep.update(signatures)
    return Exchange(keep, old, tuple(new), positions, frozenset(frames))
