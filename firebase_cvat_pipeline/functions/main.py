"""Cloud Functions (2nd generation) of the device loop; README.md says how to deploy them.

Google may deliver an event twice, late or in another order than it happened. Neither function looks at what an event
says but for the document's name: both read the store as it is, so an event may come again at any time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import functions_framework

from agir_cvtoolkit.config import Firebase
from agir_cvtoolkit.firebase import open_store
from agir_cvtoolkit.firebase.intake import Intake

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

    from agir_cvtoolkit.firebase import CaptureStore

_LOG = logging.getLogger("agir_cvtoolkit.functions")
_VARIABLES = {
    "GOOGLE_CLOUD_PROJECT": "project_id",
    "STORAGE_BUCKET": "storage_bucket",
    "FIRESTORE_DATABASE": "database",
    "IMAGE_PATH": "image_path",
    "UPLOAD_THRESHOLD": "upload_threshold",
    "RETRAINING_THRESHOLD": "retraining_threshold",
}


def settings_of(environment: Mapping[str, str]) -> Firebase:
    """Return the settings that the deployment's environment variables give; others have their defaults."""
    given: dict[str, Any] = {
        key: environment[name] for name, key in _VARIABLES.items() if environment.get(name)
    }
    return Firebase.model_validate(given)


def document_id(event: CloudEvent) -> str:
    """Return the id of the document that an event is about, which has slashes in its path but not in its id."""
    path = event.get("document") or str(event.get("subject") or "").removeprefix("documents/")
    return str(path).rpartition("/")[2]


@cache
def _settings() -> Firebase:
    return settings_of(os.environ)


@cache
def _store() -> CaptureStore:
    # One for the life of the instance: connections are dear, and the client may be used by several threads.
    return open_store(_settings())


@cache
def _intake() -> Intake:
    return Intake.open(_settings())


@functions_framework.cloud_event
def reserve_retraining(event: CloudEvent) -> None:
    """Make a trigger once enough corrections wait; called on every write to `labeled_data`.

    The store counts and reserves in one transaction: of many calls at the same moment one makes the trigger, and the
    command `firebase return --trigger-retraining` may be one of them.
    """
    threshold = _settings().retraining_threshold
    trigger = _store().reserve_trigger(threshold, datetime.now(UTC))
    if trigger is not None:
        _LOG.warning("trigger %s reserved %d corrections", trigger.trigger_id, trigger.count)


@functions_framework.cloud_event
def normalise_capture(event: CloudEvent) -> None:
    """Make a capture of what the app uploaded; called on every new document of `uncertain_poses`.

    A document that is a capture already is left as it is.
    """
    key = document_id(event)
    if not key:
        _LOG.error("an event of type %s names no document", event.get("type"))
        return
    if _intake().take(key):
        _LOG.warning("made a capture of the upload %s", key)
