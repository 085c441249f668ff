"""What a challenger is compared with: the champion, or what proposes while no model is in service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from agir_cvtoolkit.errors import AgirError, InterruptedByUser, RemoteError

from ._comparison import Figure, Verdict, compare, interval_of
from ._evaluation import Incumbent, Judged, ModelScores

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.models.card import ModelCard

_T = TypeVar("_T")


@dataclass(frozen=True)
class Model:
    """A trained model."""

    path: Path
    card: ModelCard

    def scores(self, judged: Judged, figure: Figure, settings: Settings) -> ModelScores:
        """Return how it did, with the interval of a figure."""
        return _scores(self.card.version, self.card.name, self.path, judged, figure, settings)


@dataclass(frozen=True)
class Against:
    """What a challenger was compared with.

    Attributes:
        judged: how it did; None where there is nothing, or nothing that can be compared.
        scores: likewise.
        incumbent: its name, where it is no model in service.
        uncompared: why the incumbent could not be compared with.
    """

    judged: Judged | None = None
    scores: ModelScores | None = None
    incumbent: str = ""
    uncompared: str = ""

    def verdict(
        self, mine: Judged, figure: Figure, name: str, settings: Settings, otherwise: Verdict
    ) -> Verdict:
        """Return what the difference says, or `otherwise` where nothing is compared with.

        Of an incumbent and a first model one has to propose next, also where the pictures are too few to tell: the
        one that did better on them.
        """
        if self.judged is None:
            return otherwise
        found = compare(mine.counts, self.judged.counts, figure, name, settings.retrain.judgement)
        if not self.incumbent:
            return found
        ahead = found.outcome == "few" and found.difference > 0
        return replace(found, than=self.incumbent, outcome="ahead" if ahead else found.outcome)


def against(
    champion: Model | None,
    incumbent: Incumbent | None,
    judge: Callable[[Model], Judged],
    ask: Callable[[Incumbent], Judged],
    figure: Figure,
    settings: Settings,
) -> Against:
    """Judge the champion, or without one the incumbent.

    Args:
        champion: None where there is none.
        incumbent: asked only without a champion.
        judge, ask: how either does on the test set.
        figure: the main one.
        settings: with the judgement.
    """
    if champion is not None:
        theirs = judge(champion)
        return Against(theirs, champion.scores(theirs, figure, settings))
    if incumbent is None:
        return Against()
    name = incumbent.name
    found, why = unless_it_fails(lambda: ask(incumbent))
    if found is None:
        return Against(uncompared=why)
    return Against(found, _scores(name, name, Path(), found, figure, settings), name)


def unless_it_fails(asked: Callable[[], _T]) -> tuple[_T | None, str]:
    """Return an answer of the incumbent, or why there is none.

    Raises:
        RemoteError: a server failed; once it answers, there is something to compare with.
    """
    try:
        return asked(), ""
    except (InterruptedByUser, RemoteError):
        raise
    except AgirError as error:
        return None, error.problem


def _scores(
    version: str, name: str, path: Path, judged: Judged, figure: Figure, settings: Settings
) -> ModelScores:
    return ModelScores(
        version,
        name,
        path,
        dict(judged.metrics),
        dict(judged.parts),
        judged.reliability,
        judged.worst,
        interval_of(judged.counts, figure, settings.retrain.judgement),
    )
