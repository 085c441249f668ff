"""Corrections: a pulled shape set matched against the predictions that it came from."""

from ._areas import Area, AreaShape, area_of
from ._match import MATCH_FROM, Match, Outcome, accepted, match, match_hashes

__all__ = [
    "MATCH_FROM",
    "Area",
    "AreaShape",
    "Match",
    "Outcome",
    "accepted",
    "area_of",
    "match",
    "match_hashes",
]
