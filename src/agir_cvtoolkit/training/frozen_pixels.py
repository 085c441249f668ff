"""A segmentation model over frozen maps that is trained in a second or two: the learner of simulations.

It is a measure, not a product: cells of 8 pixels, and a few variations of each picture that are the same every time.
What it is for is to compare what different pictures teach, so that it has to be quick, and the same pictures must give
nearly the same model whatever the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812 - the usual name

from .frozen_features import FrozenFeatures, tensors
from .frozen_head import Averaged, ColumnHead, chance, resized
from .scores import Scores, scores_of

CELL = 8
"""Pixels of a cell, height and width."""
STEP = 2
"""Of the finest map, at stride 4, every so many-th row and column is used."""
IGNORED = 255
Labels = NDArray[np.uint8]
_REMEMBERED = 500
"""Pictures whose columns are held in memory: a megabyte or two each."""
_Sample = tuple[NDArray[np.float16], NDArray[np.int64], NDArray[np.float32]]
"""Columns of features of some cells, their labels, and how many cells each stands for."""
Varied = Callable[[int, int], Sequence[tuple[str, Labels]]]
"""Returns the keys of the maps and the cells of so many variations of a picture, by its place."""


@dataclass(frozen=True)
class PixelSettings:
    """How the head learns.

    Attributes:
        width: of its hidden layers.
        steps: times that the weights are changed.
        batch: cells of each step.
        lr: highest rate; it rises and falls once.
        weight_decay: of AdamW.
        per_class: cells of each foreground class that are learned from in one picture; they stand for all of them.
        background: the same of the background.
        variations: ways in which each picture is shown, beside the plain one, where there are any.
    """

    width: int = 32
    steps: int = 200
    batch: int = 512
    lr: float = 4e-3
    weight_decay: float = 1e-2
    per_class: int = 200
    background: int = 150
    variations: int = 3


def cells_of(mask: Labels) -> Labels:
    """Return the labels of the cells of a mask: of the pixel that each cell's finest features lie on.

    Args:
        mask: uint8 of shape (height, width), class indices.
    """
    offset = CELL // 4
    return np.ascontiguousarray(mask[offset::CELL, offset::CELL])


class PixelLearner:
    """Pictures with their labels, and the models that subsets of them make."""

    def __init__(
        self,
        features: FrozenFeatures,
        keys: Sequence[str],
        labels: Sequence[Labels],
        classes: int,
        settings: PixelSettings | None = None,
        varied: Varied | None = None,
    ) -> None:
        """Take pictures.

        Args:
            features: their maps, made with step `STEP`.
            keys: of the maps of each.
            labels: of each, see `cells_of`; `IGNORED` where nobody knows.
            classes: how many, the background (0) included.
            settings: of the learning.
            varied: what shows the pictures varied; None where they are only seen as they are.
        """
        self._features, self._keys, self._labels = features, keys, labels
        self._classes, self._varied = classes, varied
        self._settings = settings or PixelSettings()
        self._sampled = lru_cache(maxsize=_REMEMBERED)(self._sample)

    def learn(self, members: Sequence[int], seed: int) -> ColumnHead:
        """Train a model; the same members (in any order) and seed give the same one, bit by bit.

        Args:
            members: places of pictures.
            seed: of weights and order.
        """
        wanted = self._settings
        parts = [self._sampled(member) for member in sorted(members)]
        x, y, weight = (torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True))
        x, weight = x.float(), weight / weight.mean()
        with chance(seed) as generator:
            head = ColumnHead(x.mean(dim=0), x.std(dim=0) + 0.05, wanted.width, self._classes)
            optimizer = torch.optim.AdamW(head.parameters(), lr=wanted.lr, weight_decay=wanted.weight_decay)
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, wanted.lr, total_steps=wanted.steps, pct_start=0.1
            )
            mean = Averaged(head)
            for step in range(wanted.steps):
                chosen = torch.randint(len(y), (wanted.batch,), generator=generator)
                lost = F.cross_entropy(head.columns(x[chosen]), y[chosen], reduction="none")
                optimizer.zero_grad()
                (lost * weight[chosen]).mean().backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                if step >= wanted.steps // 2:
                    mean.add()
            mean.take()
        return head.eval()

    def probabilities(self, head: ColumnHead, members: Sequence[int]) -> Iterator[NDArray[np.float32]]:
        """Yield what a model says of each picture: float32 of shape (classes, rows, columns of cells)."""
        for member in members:
            with torch.inference_mode():
                found = head(tensors(self._features.maps(self._keys[member])))[0].softmax(dim=0)
            rows, columns = self._labels[member].shape
            yield found[:, :rows, :columns].numpy()

    def score(self, head: ColumnHead, members: Sequence[int]) -> Scores:
        """Score a model by all cells of some pictures together."""
        counted = np.zeros(self._classes**2, dtype=np.int64)
        for member, said in zip(members, self.probabilities(head, members), strict=True):
            labels = self._labels[member]
            known = labels != IGNORED
            joined = labels[known].astype(np.int64) * self._classes + said.argmax(axis=0)[known]
            counted += np.bincount(joined, minlength=len(counted))
        return scores_of(counted.reshape(self._classes, self._classes))

    def _sample(self, member: int) -> _Sample:
        views = [(self._keys[member], self._labels[member])]
        if self._varied is not None and self._settings.variations:
            views += self._varied(member, self._settings.variations)
        parts = [self._columns_of(key, labels) for key, labels in views]
        columns, labels, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
        return columns, labels, weights

    def _columns_of(self, key: str, labels: Labels) -> _Sample:
        # By the picture and not by the model's seed: what a picture teaches does not depend on who asks.
        rng = np.random.default_rng(list(bytes.fromhex(key[:16])))
        places, weights = [], []
        for number in range(self._classes):
            there = np.flatnonzero(labels.reshape(-1) == number)
            most = self._settings.per_class if number else self._settings.background
            taken = rng.choice(there, min(most, len(there)), replace=False)
            places.append(np.sort(taken))
            weights.append(np.full(len(taken), len(there) / max(1, len(taken)), dtype=np.float32))
        cells = np.concatenate(places)
        rows, columns = np.divmod(cells, labels.shape[1])
        maps = tensors(self._features.maps(key))
        size = maps[0].shape[-2:]
        parts = []
        for level in maps:
            whole = level if level.shape[-2:] == size else resized(level, size)
            parts.append(whole[0, :, rows, columns].half().numpy().T)
        return (
            np.concatenate(parts, axis=1),
            labels.reshape(-1)[cells].astype(np.int64),
            np.concatenate(weights),
        )
