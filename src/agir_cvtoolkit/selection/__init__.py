"""The choice of a batch: numbers in, a reasoned order out. The room never sees pixels."""

from .choosing import choose, decide
from .decisions import Decisions
from .registry import STRATEGIES, shipped, strategy
from .rules import ChoiceRules, Quota
from .scores import mixed, ranked
from .strategy import Strategy

__all__ = [
    "STRATEGIES",
    "ChoiceRules",
    "Decisions",
    "Quota",
    "Strategy",
    "choose",
    "decide",
    "mixed",
    "ranked",
    "shipped",
    "strategy",
]
