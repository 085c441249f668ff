"""What the ledger returns of models and of the data sets that they learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ModelRow:
    """A trained model.

    Attributes:
        kind: ``segmentation`` or ``pose``; each has a champion of its own.
        metrics: by name, as it was last evaluated; before that those of its card.
        test_set: hash of the pictures and corrections that it was last evaluated on.
        card: as it was recorded: architecture, configuration, what it was trained on.
    """

    version: str
    path: str
    name: str
    run_id: str | None
    is_champion: bool
    champion_since: str | None
    created: str
    kind: str = "segmentation"
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    test_set: str | None = None
    card: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class PictureHash:
    """How a picture looks.

    Attributes:
        sha256: of its file.
        width, height: in pixels.
        phash: 64 bits, see `agir_cvtoolkit.similarity`.
    """

    sha256: str
    width: int
    height: int
    phash: int


@dataclass(frozen=True)
class DatasetVersion:
    """A data set as it was made.

    Attributes:
        version: fingerprint of its content, its classes and its split.
        run_id: of the run that made it first.
        parent: the version that the run had before; None for the first one.
        path: of its folder when it was made, absolute.
        made_from: tasks, runs and settings.
        pictures, records: how many.
        tiles: how many, by side.
        classes: names, the background first.
        class_pixels: of the training pictures, by class.
        created: when; set by the ledger.
    """

    version: str
    run_id: str
    parent: str | None
    path: str
    made_from: Mapping[str, object] = field(hash=False)
    pictures: int
    records: int
    tiles: Mapping[str, int] = field(hash=False)
    classes: tuple[str, ...]
    class_pixels: tuple[int, ...]
    created: str = ""


@dataclass(frozen=True)
class DatasetMember:
    """A record of a version of a data set.

    Attributes:
        sha256, mask_sha256: of its two files.
        picture: that it is, or is a cutout of.
        side: ``train``, ``val`` or ``test``; ``train+val`` where they are the same pictures.
    """

    record_id: str
    sha256: str
    mask_sha256: str
    picture: str
    side: str
