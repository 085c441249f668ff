"""Strategies by name: those shipped, those of installed packages, and those in a user's own file."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import ConfigError, did_you_mean

from .strategy import Strategy

GROUP = "agir_cvtoolkit.strategies"
STRATEGIES: Mapping[str, str] = {
    "random": "random_draw:RandomDraw",
    "uncertainty": "uncertainty:Uncertainty",
    "diversity": "diversity:Diversity",
    "uncertainty-diversity": "uncertainty_diversity:UncertaintyDiversity",
    "clusters": "clusters:Clusters",
    "stochastic": "stochastic:Stochastic",
    "typical": "typical:Typical",
    "class-doubt": "class_doubt:ClassDoubt",
    "class-deficit": "class_deficit:ClassDeficit",
}
_SEE = "See docs/select.md for what a strategy has to have."


def strategy(name: str, options: Mapping[str, Any] | None = None) -> Strategy:
    """Make a strategy.

    Args:
        name: a shipped name, one that an installed package offers in the entry point group
            ``agir_cvtoolkit.strategies``, or ``package.module:Class`` or ``file.py:Class`` of a class of the user's.
        options: its keyword arguments.

    Raises:
        ConfigError: there is none of that name, it cannot be imported or made, or it is no strategy.
    """
    made = _made(name, _found(name), dict(options or {}))
    if not isinstance(made, Strategy):
        raise ConfigError(f"{name} is no strategy: it needs `needs`, `says` and a method `rank`", _SEE)
    strange = frozenset(made.needs) - {"score", "embeddings", "classes"}
    if strange:
        raise ConfigError(
            f"strategy {name} needs {', '.join(sorted(strange))}, which no pool has",
            "A strategy may need score, embeddings and classes.",
        )
    return made


def shipped() -> dict[str, str]:
    """Return what each shipped strategy does, in one sentence, by name."""
    return {name: _sentence(_shipped_class(name)) for name in STRATEGIES}


def _shipped_class(name: str) -> Any:
    module, _, attribute = STRATEGIES[name].partition(":")
    return getattr(importlib.import_module(f".{module}", __package__), attribute)


def _sentence(found: Any) -> str:
    return (inspect.getdoc(found) or "").split("\n\n", 1)[0].replace("\n", " ")


def _found(name: str) -> Any:
    if name in STRATEGIES:
        return _shipped_class(name)
    offered = {point.name: point for point in entry_points(group=GROUP)}
    try:
        if name in offered:
            return offered[name].load()
        if ":" in name:
            return _named_by_place(name)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"strategy {name} cannot be imported: {type(error).__name__}: {error}",
            "Correct its module, or install its package here.",
        ) from error
    known = [*STRATEGIES, *offered]
    raise ConfigError(
        f"there is no strategy '{name}'; there are: {', '.join(known)}", did_you_mean(name, known)
    )


def _named_by_place(name: str) -> Any:
    place, _, attribute = name.rpartition(":")
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            raise ConfigError(
                f"strategy {name}: there is no file {place}", "Name it from the current folder."
            )
        spec = importlib.util.spec_from_file_location(f"_strategy_{path.stem}", path)
        if spec is None or spec.loader is None:
            raise ConfigError(f"strategy {name}: {place} is no Python file", _SEE)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(place)
    if not hasattr(module, attribute):
        near = did_you_mean(attribute, [known for known in dir(module) if not known.startswith("_")])
        raise ConfigError(f"strategy {name}: there is no '{attribute}' in it", near or _SEE)
    return getattr(module, attribute)


def _made(name: str, found: Any, options: Mapping[str, Any]) -> Any:
    if not callable(found):
        raise ConfigError(f"strategy {name} is no class", _SEE)
    try:
        return found(**options)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"strategy {name} does not start with the options {dict(options)}: {type(error).__name__}: {error}",
            "Correct select.options, or the strategy.",
        ) from error
