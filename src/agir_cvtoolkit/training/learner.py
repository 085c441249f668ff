"""The Lightning module: loss, counted scores, optimizer and the history of a training."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from agir_cvtoolkit.config._training import Train
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.models.card import PixelNorm
from agir_cvtoolkit.models.pyramid import Encoder

from .history import Epoch
from .scores import Scores, scores_of

_STATE = "agir_cvtoolkit"
_START, _END = 0.04, 1e-4


class SegmentationLearner(LightningModule):
    """Trains a network of `models.registry.build`.

    Attributes:
        history: finished epochs.
        best: scores on val of the best epoch so far, or None.
        best_epoch: its number, 0 before the first.
        fingerprint: of data set and settings; a resume file of another training is not continued.
    """

    _mean_of_norm: Tensor
    _std_of_norm: Tensor

    def __init__(
        self, network: nn.Module, classes: int, norm: PixelNorm, settings: Train, steps: int, fingerprint: str
    ) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.fingerprint = fingerprint
        self.history: list[Epoch] = []
        self.best: Scores | None = None
        self.best_epoch = 0
        self.newest: Scores | None = None
        self._classes = classes
        self._steps = steps
        self.register_buffer("_mean_of_norm", torch.tensor(norm.mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("_std_of_norm", torch.tensor(norm.std).reshape(1, 3, 1, 1), persistent=False)
        self._train_counts = _Counts(classes)
        self._val_counts = _Counts(classes)
        self._started = 0.0

    @property
    def _encoder(self) -> nn.Module:
        return self.network.get_submodule("encoder")

    # --- forward and loss ------------------------------------------------------------------------------

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (B, classes, H, W) for uint8 RGB of shape (B, 3, H, W)."""
        values = (pixels.float() - self._mean_of_norm) / self._std_of_norm
        logits: Tensor = self.network(values.contiguous(memory_format=torch.channels_last))
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        """Return the loss of a batch."""
        logits = self(batch[0])
        loss = segmentation_loss(logits, batch[1], self.settings.loss.dice_weight)
        self._train_counts.add(logits.detach(), batch[1], loss.detach())
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> None:
        """Count a batch of val."""
        logits = self(batch[0])
        self._val_counts.add(
            logits, batch[1], segmentation_loss(logits, batch[1], self.settings.loss.dice_weight)
        )

    @torch.inference_mode()
    def score(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Scores:
        """Score the network, as it is and where it is, on batches as `batches.loader` gives them."""
        counts = _Counts(self._classes)
        for pixels, labels in batches:
            logits = self(pixels.to(self.device))
            counts.add(logits, labels.to(self.device), logits.new_zeros(()))
        return scores_of(counts.confusion())

    # --- epochs ------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Freeze what is to be frozen in this epoch and begin to count."""
        self._started = time.perf_counter()
        self._train_counts = _Counts(self._classes)
        model = self.settings.model
        frozen = model.encoder_freeze or self.current_epoch < model.encoder_freeze_epochs
        self._encoder.requires_grad_(not frozen)
        self._hold_norms()

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self._val_counts = _Counts(self._classes)

    def on_validation_epoch_end(self) -> None:
        """Take down the epoch; Lightning validates before it ends the training epoch.

        Raises:
            DataError: the loss is no number any more.
        """
        train, val = self._train_counts, self._val_counts
        if not (np.isfinite(train.mean_loss) and np.isfinite(val.mean_loss)):
            raise DataError(
                f"training diverged in epoch {self.current_epoch + 1}: the loss is not finite",
                "Lower train.optimizer.lr",
            )
        train_scores, self.newest = scores_of(train.confusion()), scores_of(val.confusion())
        self.history.append(
            Epoch(
                number=self.current_epoch + 1,
                train_loss=train.mean_loss,
                train_iou=train_scores.iou,
                train_dice=train_scores.dice,
                val_loss=val.mean_loss,
                val_iou=self.newest.iou,
                val_dice=self.newest.dice,
                learning_rate=float(self.trainer.optimizers[0].param_groups[0]["lr"]),
                seconds=time.perf_counter() - self._started,
            )
        )

    def on_validation_model_train(self) -> None:
        """Keep the encoder's normalisation still when Lightning switches back to training."""
        super().on_validation_model_train()
        self._hold_norms()

    def _hold_norms(self) -> None:
        # Statistics of a few tiles are worse than ImageNet's; only an encoder without any must find its own.
        encoder = self._encoder
        pretrained = self.settings.model.encoder_weights is not None
        if isinstance(encoder, Encoder) and (pretrained or self.settings.model.encoder_freeze):
            for norm in encoder.norms():
                norm.eval()

    # --- optimizer and state ------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """AdamW (Loshchilov & Hutter 2019), one cycle (Smith & Topin 2018), slower for the encoder."""
        wanted = self.settings.optimizer
        encoder = list(self._encoder.parameters())
        inside = {id(p) for p in encoder}
        rest = [p for p in self.network.parameters() if id(p) not in inside]
        rates = [wanted.lr, wanted.lr * wanted.encoder_lr_factor]
        optimizer = torch.optim.AdamW(
            [{"params": rest, "lr": rates[0]}, {"params": encoder, "lr": rates[1]}],
            weight_decay=wanted.weight_decay,
        )
        cycle = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, self._steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put history and best scores into the resume file, as plain values."""
        checkpoint[_STATE] = {
            "fingerprint": self.fingerprint,
            "history": [asdict(epoch) for epoch in self.history],
            "best": asdict(self.best) if self.best else None,
            "best_epoch": self.best_epoch,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take history and best scores out of the resume file."""
        state = checkpoint[_STATE]
        self.history = [Epoch(**values) for values in state["history"]]
        self.best = Scores(**state["best"]) if state["best"] else None
        self.best_epoch = int(state["best_epoch"])


def fingerprint_in(checkpoint: dict[str, Any]) -> str | None:
    """Return the fingerprint that `SegmentationLearner` put into a resume file, or None."""
    state = checkpoint.get(_STATE)
    return state.get("fingerprint") if isinstance(state, dict) else None


def segmentation_loss(logits: Tensor, labels: Tensor, dice_weight: float) -> Tensor:
    """Weighted sum of cross-entropy and soft Dice loss (Milletari et al. 2016) over the batch.

    Args:
        logits: (B, classes, H, W).
        labels: class indices, any integer type, (B, H, W).
        dice_weight: share of the Dice loss, 0..1.
    """
    classes = logits.shape[1]
    # Written out, since the fused cross-entropy has no deterministic form on GPUs.
    wanted = F.one_hot(labels.long(), classes).permute(0, 3, 1, 2).to(logits.dtype)
    log_probabilities = F.log_softmax(logits, dim=1)
    entropy = -(wanted * log_probabilities).sum(dim=1).mean()
    probabilities = log_probabilities.exp()[:, 1:]
    hits = (probabilities * wanted[:, 1:]).sum(dim=(0, 2, 3))
    both = probabilities.sum(dim=(0, 2, 3)) + wanted[:, 1:].sum(dim=(0, 2, 3))
    dice = (1 - (2 * hits + 1) / (both + 1)).mean()
    return (1 - dice_weight) * entropy + dice_weight * dice


def one_cycle(step: int, steps: int) -> float:
    """Return the factor on the highest learning rate: up for a quarter of the way, then down, by cosines."""
    top = max(1, steps // 4)
    if step < top:
        return _START + (1 - _START) * (1 - math.cos(math.pi * step / top)) / 2
    done = min(1.0, (step - top) / max(1, steps - top))
    return max(_END, (1 + math.cos(math.pi * done)) / 2)


class _Counts:
    """Pixels by (label, prediction), and losses, of one pass over a split."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._confusion: Tensor | None = None
        self._loss: Tensor | None = None
        self._tiles = 0

    def add(self, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        predicted = logits.argmax(dim=1)
        pairs = (labels.long() * self._classes + predicted).reshape(-1)
        counted = torch.stack([(pairs == cell).sum() for cell in range(self._classes**2)])
        weighted = loss * len(labels)
        self._confusion = counted if self._confusion is None else self._confusion + counted
        self._loss = weighted if self._loss is None else self._loss + weighted
        self._tiles += len(labels)

    def confusion(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        if self._confusion is None:
            return np.zeros((self._classes, self._classes), dtype=np.int64)
        return self._confusion.cpu().numpy().astype(np.int64).reshape(self._classes, self._classes)

    @property
    def mean_loss(self) -> float:
        return float(self._loss) / self._tiles if self._loss is not None else 0.0
