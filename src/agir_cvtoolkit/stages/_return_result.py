"""What a return tells."""

from __future__ import annotations

from dataclasses import dataclass

from agir_cvtoolkit.records import Item


@dataclass(frozen=True)
class TriggerMade:
    """A trigger that was reserved, or in a dry run would be: its id, and the corrections that it took."""

    trigger_id: str
    count: int
    threshold: int


@dataclass(frozen=True)
class ReturnResult:
    """What ``firebase return`` did, or in a dry run would do.

    Attributes:
        source: where the annotations came from.
        store: where they went.
        schema: of the joints.
        manifests: that told which picture is which capture.
        frames: pictures that were looked at.
        matched: of them, those that are captures of the store.
        animals: corrected poses that the store now has of them.
        new, changed, same: documents of ``labeled_data``; of `changed`, `withdrawn` lost their animal.
        completed: captures that were not completed before.
        empty: captures on whose picture nobody has drawn anything, and of which nobody said that it is done.
        proposals: captures of which every shape is as the model proposed it; in an export nobody can tell whether
            a person has looked.
        items: what was not taken, with the reason.
        notices: what was taken and deserves a look.
        trigger: made by this call; None where none was.
        unreserved: corrections that wait for a trigger; None where triggers were not asked for.
        threshold: so many make one.
        jobs: finished ones that were read; 0 for a file.
        waiting: jobs that are not finished.
        unchanged: finished jobs that came back before.
    """

    source: str
    store: str
    schema: str
    manifests: tuple[str, ...]
    frames: int
    matched: int
    animals: int
    new: int
    changed: int
    same: int
    withdrawn: int
    completed: int
    empty: tuple[str, ...]
    proposals: tuple[str, ...]
    items: tuple[Item, ...]
    notices: tuple[Item, ...]
    trigger: TriggerMade | None
    unreserved: int | None
    threshold: int
    jobs: int = 0
    waiting: int = 0
    unchanged: int = 0
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """0; 1 where something was not taken; 4 where nothing could be."""
        if not self.items:
            return 0
        return 1 if self.animals or self.completed or self.trigger is not None else 4

    @property
    def worked(self) -> bool:
        """Whether anything in the store is other than before."""
        return bool(self.new or self.changed or self.completed or self.trigger is not None)
