"""What ``retrain`` did, or would do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from agir_cvtoolkit.records import Item

from ._comparison import Verdict
from .evaluate import EvaluateResult

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.firebase import CaptureStore


@dataclass(frozen=True)
class RetrainResult:
    """What ``retrain`` did, or in a dry run would do.

    Attributes:
        state: ``nothing``: no trigger waits; ``trained``; ``known``: all corrections of the trigger were learned from
            before, so that there was nothing to train; ``elsewhere``: another machine has published a model for
            the trigger and was killed before it could say so; ``planned`` in a dry run.
        store: where the corrections are.
        trigger_id: of the trigger; empty where there was none.
        corrections: that it reserved.
        run_id: of the training.
        trained, tested: numbers of pictures.
        version: of the weights; empty where nothing was trained.
        promoted: whether the model is in service now.
        files: of the published model in the storage, by kind.
        evaluation: against the champion; None where the test set is empty.
        verdict: why it is in service, or not.
        waiting: corrections that no trigger has reserved.
        threshold: so many make a trigger.
        items: corrections that could not be learned from, and forms that could not be written.
        warning: what the reader of the scores must know, or empty.
    """

    state: Literal["nothing", "trained", "known", "elsewhere", "planned"]
    store: str
    trigger_id: str = ""
    corrections: int = 0
    run_id: str = ""
    trained: int = 0
    tested: int = 0
    version: str = ""
    promoted: bool = False
    files: tuple[tuple[str, str], ...] = ()
    evaluation: EvaluateResult | None = None
    verdict: Verdict | None = None
    waiting: int = 0
    threshold: int = 0
    items: tuple[Item, ...] = ()
    warning: str = ""
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """0, or 1 where something could not be learned from."""
        return 1 if self.items else 0

    @property
    def worked(self) -> bool:
        """Whether there was a trigger."""
        return self.state not in {"nothing", "planned"}


def nothing_waits(store: CaptureStore, settings: Settings) -> RetrainResult:
    """Return that no trigger waits, and how many corrections there are for one."""
    return RetrainResult(
        state="nothing",
        store=store.place,
        waiting=store.unreserved(),
        threshold=settings.firebase.retraining_threshold,
    )


def planned(store: CaptureStore, settings: Settings) -> RetrainResult:
    """Return which trigger would be taken."""
    waiting = [trigger for trigger in store.triggers() if trigger.status != "completed"]
    oldest = min(waiting, key=lambda trigger: trigger.made, default=None)
    return replace(
        nothing_waits(store, settings),
        state="planned" if oldest else "nothing",
        trigger_id=oldest.trigger_id if oldest else "",
        corrections=oldest.count if oldest else 0,
        dry_run=True,
    )
