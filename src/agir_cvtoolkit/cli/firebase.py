"""The group ``firebase``: a table of commands, loaded when called."""

from __future__ import annotations

import click

from ._lazy import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "transfer": ("firebase_transfer", "Bring the most uncertain captures to the annotators."),
    "return": ("firebase_return", "Bring corrections back, and trigger retraining."),
    "status": ("firebase_status", "Show captures, tasks, corrections, triggers and the model."),
    "requeue": ("firebase_requeue", "Let captures that failed wait again."),
    "run": ("firebase_run", "Transfer, return and retrain by itself, until it is stopped."),
    "submit": ("firebase_submit", "Play a device: send uncertain poses."),
}


@click.command("firebase", cls=LazyGroup, table=COMMANDS)
def command() -> None:
    """Captures of devices: from Firestore and Cloud Storage to CVAT and back.

    \b
    agir-cvtoolkit firebase transfer --limit 25 --priority 7
    agir-cvtoolkit firebase return --annotations annotations.xml --trigger-retraining
    agir-cvtoolkit firebase status
    """
