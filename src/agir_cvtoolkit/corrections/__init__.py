"""Corrections: a pulled shape set matched against the predictions that it came from."""

from ._match import MATCH_FROM, Match, Outcome, accepted, match, match_hashes

__all__ = ["MATCH_FROM", "Match", "Outcome", "accepted", "match", "match_hashes"]
