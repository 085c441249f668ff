"""What comes after each state of a round, in words."""

from __future__ import annotations

from agir_cvtoolkit.ledger import RoundState

_NEXT: dict[str, str] = {
    "opened": "a batch is chosen next",
    "selected": "it goes to CVAT next",
    "pushed": "people are told next",
    "in_annotation": "it waits for people",
    "pulled": "a model is trained next",
    "trained": "the model is compared with the champion next",
    "evaluated": "the model is promoted next, or rejected",
}


def next_words(state: RoundState) -> str:
    """Return what comes next in a round."""
    return _NEXT.get(state, "the next round begins")
