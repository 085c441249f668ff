"""``retrain``: a trigger in, and where it is better, a model in service out."""

from __future__ import annotations

from pathlib import Path

from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.firebase import open_store
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.runs import try_lock

from ._call import Call
from ._retrain_lease import TriggerLease, owner_of, take_trigger
from ._retrain_result import RetrainResult, nothing_waits, planned
from ._retraining import STAGE, Retraining

__all__ = ["STAGE", "RetrainResult", "RetrainStep", "retrain"]

LOCK = "retrain.lock"


class _AtWorkError(UsageError):
    """Another process of this workspace retrains."""


def retrain(call: Call | None = None, *, service_account: Path | None = None) -> RetrainResult:
    """Take the oldest trigger, train on all corrections ever, and put the model in service where it is better.

    The run ``retrain/<trigger>`` keeps the data set, the model and its evaluation. Captures of the frozen test set
    are never trained on. A call that was killed is ended by the next one in this workspace; another machine takes the
    trigger when its lease has ended. After a failure the trigger waits again, with the reason.

    Args:
        call: the common options.
        service_account: key file of the store; None takes the setting, then GOOGLE_APPLICATION_CREDENTIALS.

    Raises:
        UsageError: another process retrains in this workspace.
        ConfigError: no credentials, wrong settings, or an unknown pose schema.
        MissingExtraError: torch is not installed.
        RemoteError: the store fails, or the lease was lost.
        DataError: there is nothing to learn from, or the training diverged.
        InterruptedByUser: it was stopped; the trigger waits again.
    """
    call = call or Call()
    settings = call.settings()
    schema = load_schema(settings.firebase.pose.joints)
    from agir_cvtoolkit.models.libraries import require_torch

    require_torch("Retraining")
    out_root = settings.io.out_root
    key = None if service_account is None else service_account.expanduser()
    store = open_store(settings.firebase, service_account=key)
    try:
        if call.dry_run:
            return planned(store, settings)
        with try_lock(out_root.parent / LOCK) as mine:
            if not mine:
                raise _AtWorkError(
                    f"retrain is already running in {out_root.parent}", "Wait until it has ended."
                )
            lease_s = settings.firebase.lease_s
            trigger = take_trigger(store, owner_of(out_root), lease_s)
            if trigger is None:
                return nothing_waits(store, settings)
            with TriggerLease(store, trigger, lease_s) as lease:
                return Retraining(call, settings, schema, store, trigger, lease).run()
    finally:
        store.close()


class RetrainStep:
    """One look of a watch: retrains where a trigger waits, unless another process is at it already.

    Args:
        call: the common options.
        service_account: as of `retrain`.
    """

    def __init__(self, call: Call, *, service_account: Path | None = None) -> None:
        self._call, self._service_account = call, service_account

    def __call__(self) -> RetrainResult | None:
        """Look once; None where another process retrains.

        Raises:
            AgirError: as `retrain`.
        """
        try:
            return retrain(self._call, service_account=self._service_account)
        except _AtWorkError:
            return None
