"""Which pass of ``preprocess`` this is, and what of the earlier data set serves the new one.

The earlier data set moves to the run's history whole. Tiles are never written in place, so those of unchanged records
are shared by both through hard links: a new pull costs the tiles of its own records only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.runs import Run, StagePass, atomic_path, fingerprint
from agir_cvtoolkit.training.dataset import CLASSES

from ._dataset_pairs import FoundPairs

DATASET = "dataset"
_TILES = ("images", "masks", ".state")
OUTPUTS = tuple(f"{DATASET}/{name}" for name in ("splits.json", "stats.json", *_TILES))
"""What the stage owns; the labels in ``dataset/classes.json`` are those of ``download-cvat`` and stay."""


def begin_pass(
    run: Run, stage: str, found: FoundPairs, listed: Mapping[str, str], settings: Settings
) -> StagePass:
    """Begin or continue a pass; with other pairs, classes or settings the earlier data set moves to the history.

    Args:
        run: whose data set it is.
        stage: the command's name.
        found: what it is made of, `hashed`.
        listed: sides that are laid down.
        settings: that it is made with.
    """
    configured = settings.preprocess.model_dump(mode="json", exclude={"source", "workers"})
    rows = sorted((asdict(pair) for pair in found.pairs), key=lambda row: str(row["record_id"]))
    for row in rows:
        del row["image_path"], row["mask_path"]  # the same pictures may lie elsewhere
    table = [asdict(c) for c in found.classes] if found.classes is not None else None
    seed = settings.train.seed if settings.preprocess.split.seed is None else None
    stage_pass = run.begin(stage, fingerprint(rows, table, configured, seed, listed), OUTPUTS)
    if stage_pass.state == "replaced":
        _share(run.path("history", stage, str(stage_pass.number - 1), DATASET), run.path(DATASET))
    return stage_pass


def hashed(found: FoundPairs) -> FoundPairs:
    """Add the hash of every mask that is there."""
    pairs = (
        replace(pair, mask_sha256=sha256_of(pair.mask_path)) if pair.mask_path.is_file() else pair
        for pair in found.pairs
    )
    return replace(found, pairs=tuple(pairs))


def _share(earlier: Path, root: Path) -> None:
    if (root / CLASSES).is_file():
        with atomic_path(earlier / CLASSES) as temporary:
            shutil.copyfile(root / CLASSES, temporary)
    # A file system without hard links, or one with too many of them: what is missing is cut again.
    with suppress(OSError):
        for folder in _TILES:
            (root / folder).mkdir(parents=True, exist_ok=True)
            for path in (earlier / folder).glob("*"):
                os.link(path, root / folder / path.name)
