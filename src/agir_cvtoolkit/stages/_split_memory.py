"""What the ledger remembers of splits: the frozen test set, and who was on which side with the same settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.ledger import Ledger, PictureHash
from agir_cvtoolkit.runs import fingerprint
from agir_cvtoolkit.training.groups import Sample
from agir_cvtoolkit.training.pairs import Pair
from agir_cvtoolkit.training.splits import NAMES, TEST, Deal, Memory, Splits


@dataclass(frozen=True)
class SplitMemory:
    """Gives a split what the ledger remembers and tells the ledger what it said (see `splits.Remember`).

    Attributes:
        test_set: name of the frozen test set.
        dealt: name under which the other sides are remembered: another seed or other shares deal anew.
    """

    ledger: Ledger
    test_set: str
    dealt: str

    @classmethod
    def of(cls, ledger: Ledger, settings: Settings) -> SplitMemory:
        """Return the memory that a configuration names."""
        split = settings.preprocess.split
        seed = settings.train.seed if split.seed is None else split.seed
        shares = fingerprint(seed, split.train, split.val, split.test)
        return cls(ledger, split.test_set, f"{split.test_set} {shares}")

    def __call__(self, samples: Sequence[Sample], deal: Deal) -> Splits:
        """Deal with what is remembered, and remember what is new."""
        self.ledger.record_hashes(PictureHash(s.sha256, *s.size, s.phash) for s in samples)
        sides = self.ledger.split_members(self.dealt)
        while True:
            hashes = self.ledger.perceptual_hashes(self.ledger.split_members(self.test_set))
            found: list[Splits] = []

            def draw(known: Mapping[str, str]) -> Mapping[str, str]:
                if known.keys() - hashes.keys():  # noqa: B023 - drawn within this turn of the loop
                    return {}  # somebody else has frozen pictures since; look at them first
                found.append(deal(Memory({sha256: hashes[sha256] for sha256 in known}, sides)))  # noqa: B023
                return _sides(samples, found[-1], tested=True)  # noqa: B023

            self.ledger.grow_split(self.test_set, draw)
            if found:
                break
        splits = found[-1]
        if not splits.same:
            self.ledger.grow_split(self.dealt, lambda _: _sides(samples, splits, tested=False))
        return splits


def _sides(samples: Sequence[Sample], splits: Splits, *, tested: bool) -> dict[str, str]:
    found = {s.sha256: splits.sides[s.record_id] for s in samples if s.record_id in splits.sides}
    return {sha256: side for sha256, side in found.items() if (side == TEST) == tested}


def listed_sides(settings: Settings, pairs: Sequence[Pair]) -> dict[str, str]:
    """Read the sides that ``preprocess.split.listed`` lays down, by record or picture.

    Raises:
        DataError: the file is damaged, names something twice, or something that is not there.
    """
    path = settings.preprocess.split.listed
    if path is None:
        return {}
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        named = [(str(name), side) for side in content for name in content[side]]
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"preprocess.split.listed: {path} cannot be read: {error}", _FORM) from error
    sides = dict(named)
    strange = sorted({side for _, side in named} - set(NAMES))
    if strange or len(sides) != len(named):
        doubled = sorted({name for name, side in named if sides[name] != side})
        what = (
            f"knows no side '{strange[0]}'" if strange else f"names {', '.join(doubled[:5]) or 'some'} twice"
        )
        raise DataError(f"preprocess.split.listed: {path} {what}", _FORM)
    known = {pair.record_id for pair in pairs} | {pair.group for pair in pairs}
    missing = [name for name in sides if name not in known]
    if missing:
        raise DataError(
            f"preprocess.split.listed: {path} names {', '.join(missing[:5])}, which no picture is called",
            "Name records, or the pictures that they are cutouts of.",
        )
    return sides


_FORM = 'Write {"train": [...], "val": [...], "test": [...]} with each name once; sides may be left out.'
