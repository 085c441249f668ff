"""Which records must be on one side of a split: those that show the same thing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agir_cvtoolkit.similarity.near import near_groups

Node = tuple[str, str]


@dataclass(frozen=True)
class Sample:
    """A record as a split sees it.

    Attributes:
        picture: id of the picture that it is, or is a cutout of.
        sha256: of its file.
        phash: 64 bits, see `similarity.hashing`.
        size: width and height of its file in pixels.
        stratum: that every side should have its share of: its species, else the rarest class in its mask.
        together: texts that records on one side have in common.
        session: in which it was taken; empty where that is not known.
    """

    record_id: str
    picture: str
    sha256: str
    phash: int
    size: tuple[int, int]
    stratum: str = ""
    together: tuple[str, ...] = ()
    session: str = ""


@dataclass(frozen=True)
class SampleGroup:
    """Records that stay together.

    Attributes:
        samples: by record id.
        frozen: whether a picture of the frozen test set is among them, or would be.
    """

    samples: tuple[Sample, ...]
    frozen: bool

    @property
    def pictures(self) -> int:
        """How many pictures these are."""
        return len({sample.picture for sample in self.samples})

    @property
    def key(self) -> str:
        """What it is drawn by: of the content of its pictures alone, so that names play no part."""
        return min(sample.sha256 for sample in self.samples)


def groups_of(
    samples: Sequence[Sample], frozen: Mapping[str, int | None], radius: int | None, *, by_session: bool
) -> list[SampleGroup]:
    """Join what shares a picture, a file's content, a text of `together`, the session, or its looks.

    Args:
        samples: in any order.
        frozen: perceptual hash of each picture of the frozen test set, by SHA-256; they need not be here.
        radius: so many bits of two near-duplicates' hashes may differ; None joins none.
        by_session: whether sessions stay together.

    Returns:
        Groups in the order of their first record.
    """
    joined = _Joined()
    for sample in samples:
        record = ("record", sample.record_id)
        joined.join(record, ("picture", sample.picture))
        joined.join(record, ("content", sample.sha256))
        for text in sample.together:
            joined.join(record, ("together", text))
        if by_session and sample.session:
            joined.join(record, ("session", sample.session))
    if radius is not None:
        looks = {sha256: phash for sha256, phash in frozen.items() if phash is not None}
        looks |= {sample.sha256: sample.phash for sample in samples}
        contents = sorted(looks)
        for content, first in zip(contents, near_groups([looks[c] for c in contents], radius), strict=True):
            joined.join(("content", contents[first]), ("content", content))
    frozen_roots = {joined.root(("content", sha256)) for sha256 in frozen}
    found: dict[Node, list[Sample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda s: s.record_id):
        found[joined.root(("record", sample.record_id))].append(sample)
    return [SampleGroup(tuple(members), root in frozen_roots) for root, members in found.items()]


class _Joined:
    """Disjoint sets of nodes (Galler and Fischer 1964)."""

    def __init__(self) -> None:
        self._parent: dict[Node, Node] = {}

    def root(self, node: Node) -> Node:
        parent = self._parent.setdefault(node, node)
        while parent != node:
            self._parent[node] = self._parent[parent]
            node, parent = parent, self._parent[parent]
        return node

    def join(self, one: Node, other: Node) -> None:
        self._parent[self.root(one)] = self.root(other)
