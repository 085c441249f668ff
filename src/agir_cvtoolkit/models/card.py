"""What a model is and where it comes from, without its weights and without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import CheckpointError
from agir_cvtoolkit.joints import JointSchema

CARD_NAME = "card.json"
KINDS = ("segmentation", "pose")
HF = "hf:"
"""Before the folder of a Hugging Face backbone, where the name of an encoder is wanted."""


@dataclass(frozen=True)
class ArchSpec:
    """What is needed to build a network.

    Attributes:
        name: of the architecture, as the registry knows it.
        encoder: name of the encoder, or ``hf:`` and the folder of a backbone.
        classes: number of output channels, background included; of pose networks the number of joints.
        decoder_channels: widths of the decoder, as the architecture reads them; empty for its own. Of a U-Net one for
            each level of the encoder, from the coarsest on; of a heat-map network down to stride 4.
        encoder_weights: ``imagenet`` (of a folder: those in it) or None for random ones; says where training starts.
        encoder_config: what rebuilds a backbone without its folder; checkpoints hold it.
    """

    name: str = "unet"
    encoder: str = "efficientnet_lite0"
    classes: int = 2
    decoder_channels: tuple[int, ...] = ()
    encoder_weights: str | None = "imagenet"
    encoder_config: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def title(self) -> str:
        """Names of network and encoder, such as ``unet-efficientnet_lite0``; of a folder its last part."""
        return f"{self.name}-{Path(self.encoder.removeprefix(HF)).name}"


@dataclass(frozen=True)
class PixelNorm:
    """How pixels enter the network: ``(value - mean) / std`` on 0..255 RGB."""

    mean: tuple[float, float, float] = (127.0, 127.0, 127.0)
    std: tuple[float, float, float] = (128.0, 128.0, 128.0)


@dataclass(frozen=True)
class TrainedOn:
    """The data that a model has seen.

    Attributes:
        dataset: fingerprint of the data set.
        pictures: number of pictures (not of tiles) in it.
        splits: number of tiles by split.
        scale: factor by which pictures were resized before they were cut into tiles.
        max_side: longest side in pixels to which larger pictures were reduced, or None.
        warning: what the reader of a score must know, or empty.
    """

    dataset: str = ""
    pictures: int = 0
    splits: Mapping[str, int] = field(default_factory=dict, hash=False)
    scale: float = 1.0
    max_side: int | None = None
    warning: str = ""

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return width and height at which a picture of `size` (width, height) should be predicted."""
        factor = self.scale
        longest = max(size) * factor
        if self.max_side is not None and longest > self.max_side:
            factor *= self.max_side / longest
        return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


@dataclass(frozen=True)
class ModelCard:
    """What lies beside the weights as ``card.json`` and inside the checkpoint.

    Attributes:
        version: first twelve hex digits of the SHA-256 of the weights.
        classes: names; the first is the background.
        class_ids: mask value of each class, 0 for the background; for ``background, plant`` with 0, 255 the
            record's own class id takes the place of 255.
        tile_size: height and width in pixels that it was trained on.
        metrics: by name, such as ``val_iou`` and ``val_iou.plant``; in [0, 1] where they are IoU or Dice.
        configuration: the training settings.
        created: ISO 8601, UTC.
        package_version: of this package.
        commit: of git where it was trained, or empty.
        kind: ``segmentation`` or ``pose``; cards of old are of the first.
        schema: the joints of a pose model, which has no classes; None for the other kind.
        padding: room that a pose model wants on each side of an animal's box, as a share of its longer side.
    """

    name: str
    version: str
    architecture: ArchSpec
    classes: tuple[str, ...] = ("background", "plant")
    class_ids: tuple[int, ...] = (0, 255)
    tile_size: tuple[int, int] = (512, 512)
    normalization: PixelNorm = PixelNorm()
    trained_on: TrainedOn = TrainedOn()
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    configuration: Mapping[str, Any] = field(default_factory=dict, hash=False)
    created: str = ""
    package_version: str = ""
    commit: str = ""
    kind: str = "segmentation"
    schema: JointSchema | None = None
    padding: float = 0.15

    @property
    def identity(self) -> str:
        """Name and version, such as ``unet-efficientnet_lite0@0123456789ab``."""
        return f"{self.name}@{self.version}"

    def to_json_object(self) -> dict[str, Any]:
        """Return the card as JSON-able values."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        return content

    @classmethod
    def from_json_object(cls, content: object, source: str = "the model card") -> ModelCard:
        """Read a card; fields of newer versions are ignored.

        Args:
            content: what `to_json_object` returned.
            source: named in errors.

        Raises:
            CheckpointError: it is no card of this package.
        """
        try:
            values = _known(cls, content)
            values["architecture"] = ArchSpec(**_known(ArchSpec, values["architecture"]))
            values["normalization"] = PixelNorm(**_known(PixelNorm, values.get("normalization", {})))
            values["trained_on"] = TrainedOn(**_known(TrainedOn, values.get("trained_on", {})))
            if values.get("schema") is not None:
                values["schema"] = _schema(values["schema"])
            card = cls(**values)
            card._check()
        except (TypeError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"{source} is not a model card of this package: {error}", "Train the model again."
            ) from error
        return card

    def _check(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r}")
        if self.kind == "pose":
            if self.schema is None or len(self.schema.joints) != self.architecture.classes:
                raise ValueError("its joints are not those of its network")
            if not 0 <= self.padding <= 1:
                raise ValueError(f"padding {self.padding}")
        elif not (len(self.classes) == len(self.class_ids) == self.architecture.classes >= 2):
            raise ValueError(
                f"{len(self.classes)} names, {len(self.class_ids)} ids, {self.architecture.classes} classes"
            )
        if not all(i in range(256) for i in self.class_ids) or self.class_ids[:1] not in {(), (0,)}:
            raise ValueError(f"class ids {self.class_ids}")
        norm: tuple[tuple[float, ...], ...] = (self.normalization.mean, self.normalization.std)
        if [len(part) for part in norm] != [3, 3] or min(self.normalization.std) <= 0:
            raise ValueError(f"normalization {self.normalization}")
        size: tuple[int, ...] = self.tile_size
        if len(size) != 2 or min(size) <= 0:
            raise ValueError(f"tile size {size}")


def encoder_name(given: str) -> str:
    """Return the name of an encoder as the registry knows it; names compare without case, folders with it."""
    return given if given.startswith(HF) else given.lower().replace("-", "_")


def read_card(path: Path) -> ModelCard:
    """Read ``card.json``.

    Raises:
        CheckpointError: it is missing, unreadable or no card of this package.
    """
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"model card {path} cannot be read: {error}", "Train the model again."
        ) from error
    return ModelCard.from_json_object(content, f"model card {path}")


def _schema(content: object) -> JointSchema:
    values = _known(JointSchema, content)
    joints = tuple(str(joint) for joint in values["joints"])
    pairs = {name: tuple((str(a), str(b)) for a, b in values.get(name, ())) for name in ("links", "pairs")}
    sigmas = tuple(float(sigma) for sigma in values.get("sigmas", ()))
    groups = {str(key): tuple(map(str, names)) for key, names in dict(values.get("groups", {})).items()}
    aliases = {str(key): str(name) for key, name in dict(values.get("aliases", {})).items()}
    named = {name for two in pairs.values() for pair in two for name in pair}
    if not joints or len(set(joints)) != len(joints) or not named <= set(joints):
        raise ValueError("its joints are doubled or do not fit together")
    if sigmas and len(sigmas) != len(joints):
        raise ValueError(f"{len(sigmas)} sigmas for {len(joints)} joints")
    return JointSchema(
        str(values["name"]),
        str(values["label"]),
        joints,
        pairs["links"],
        pairs["pairs"],
        groups,
        aliases,
        sigmas,
    )


def _known(kind: type[Any], content: object) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise TypeError(f"{kind.__name__} is no object")
    names = {f.name for f in fields(kind)}
    known = {key: value for key, value in content.items() if key in names}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in known.items()}
