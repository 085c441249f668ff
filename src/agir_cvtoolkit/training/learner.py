"""The Lightning module: loss, counted scores, optimizer and the history of a training."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, distributed, nn

from agir_cvtoolkit.config._training import Train
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.models.card import PixelNorm
from agir_cvtoolkit.models.pyramid import Encoder

from .batches import Batch
from .dropping import drawn_by_place
from .history import Epoch
from .losses import segmentation_loss
from .remembered import answering
from .schedules import rate_factor
from .scores import Scores, scores_of

_STATE = "agir_cvtoolkit"


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
    _weights: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        classes: int,
        norm: PixelNorm,
        settings: Train,
        steps: int,
        fingerprint: str,
        weights: tuple[float, ...] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self._draws = drawn_by_place(network)
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
        self.register_buffer("_weights", torch.tensor(weights) if weights else None, persistent=False)
        self._train_counts = _Counts(classes)
        self._val_counts = _Counts(classes)
        self._started = 0.0

    @property
    def _encoder(self) -> nn.Module:
        return self.network.get_submodule("encoder")

    # --- forward and loss ------------------------------------------------------------------------------

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return what the encoder takes, for uint8 RGB of shape (B, 3, H, W)."""
        values: Tensor = (pixels.float() - self._mean_of_norm) / self._std_of_norm
        return values.contiguous(memory_format=torch.channels_last)

    def forward(self, pixels: Tensor, *maps: Tensor) -> Tensor:
        """Return logits (B, classes, H, W) for uint8 RGB of shape (B, 3, H, W).

        Args:
            pixels: of the tiles.
            maps: what the encoder saw of them, where that is remembered.
        """
        values = self.normalise(pixels)
        if maps:
            seen = [m.to(values.dtype).contiguous(memory_format=torch.channels_last) for m in maps]
            with answering(self._encoder, seen):
                remembered: Tensor = self.network(values)
            return remembered
        logits: Tensor = self.network(values)
        return logits

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Return the loss of a batch."""
        logits, loss = self._judged(batch)
        self._train_counts.add(logits.detach(), batch[1], loss.detach())
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Count a batch of val."""
        logits, loss = self._judged(batch)
        self._val_counts.add(logits, batch[1], loss)

    def _judged(self, batch: Batch) -> tuple[Tensor, Tensor]:
        pixels, labels, *maps = batch
        logits = self(pixels, *maps)
        return logits, segmentation_loss(logits, labels, self.settings.loss, self._weights)

    @torch.inference_mode()
    def score(self, batches: Iterable[Batch]) -> Scores:
        """Score the network, as it is and where it is, on batches as `batches.loader` gives them."""
        counts = _Counts(self._classes)
        for pixels, labels in batches:
            logits = self(pixels.to(self.device))
            counts.add(logits, labels.to(self.device), logits.new_zeros(()))
        return scores_of(counts.total(self.device)[0])

    # --- epochs ------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Freeze what is to be frozen in this epoch and begin to count."""
        self._started = time.perf_counter()
        self._train_counts = _Counts(self._classes)
        model = self.settings.model
        frozen = model.encoder_freeze or self.current_epoch < model.encoder_freeze_epochs
        self._encoder.requires_grad_(not frozen)
        self._hold_norms()

    def on_train_batch_start(self, batch: Batch, index: int) -> None:
        """Throw new dice: what is dropped of a tile follows from seed, epoch and its place, after a kill too."""
        here = len(batch[0])
        first = index * self.settings.batch_size + self.global_rank * here
        self._draws.begin(self.settings.seed, self.current_epoch, range(first, first + here))
        # For what a backbone draws otherwise.
        dice = np.random.SeedSequence([self.settings.seed, self.global_step, self.global_rank])
        torch.manual_seed(int(dice.generate_state(1)[0]))

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self._val_counts = _Counts(self._classes)

    def on_validation_epoch_end(self) -> None:
        """Take down the epoch; Lightning validates before it ends the training epoch.

        Raises:
            DataError: the loss is no number any more.
        """
        train, train_loss = self._train_counts.total(self.device)
        val, val_loss = self._val_counts.total(self.device)
        if not (np.isfinite(train_loss) and np.isfinite(val_loss)):
            raise DataError(
                f"training diverged in epoch {self.current_epoch + 1}: the loss is not finite",
                "Lower train.optimizer.lr",
            )
        train_scores, self.newest = scores_of(train), scores_of(val)
        self.history.append(
            Epoch(
                number=self.current_epoch + 1,
                train_loss=train_loss,
                train_iou=train_scores.iou,
                train_dice=train_scores.dice,
                val_loss=val_loss,
                val_iou=self.newest.iou,
                val_dice=self.newest.dice,
                learning_rate=float(self.trainer.optimizers[0].param_groups[0]["lr"]),
                seconds=time.perf_counter() - self._started,
                val_mean_iou=self.newest.mean_iou,
                val_iou_by_class=self.newest.iou_by_class,
            )
        )

    def on_validation_model_train(self) -> None:
        """Keep the encoder's normalisation still when Lightning switches back to training."""
        super().on_validation_model_train()
        self._hold_norms()

    def _hold_norms(self) -> None:
        encoder, model = self._encoder, self.settings.model
        if model.encoder_freeze:
            encoder.eval()
        # Statistics of a few tiles are worse than ImageNet's; only an encoder without any must find its own.
        elif isinstance(encoder, Encoder) and model.encoder_weights is not None:
            for norm in encoder.norms():
                norm.eval()

    # --- optimizer and state ------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """AdamW (Loshchilov & Hutter 2019), slower for the encoder, its rate as configured."""
        wanted = self.settings.optimizer
        encoder = list(self._encoder.parameters())
        inside = {id(p) for p in encoder}
        rest = [p for p in self.network.parameters() if id(p) not in inside]
        rates = [wanted.lr, wanted.lr * wanted.encoder_lr_factor]
        optimizer = torch.optim.AdamW(
            [{"params": rest, "lr": rates[0]}, {"params": encoder, "lr": rates[1]}],
            weight_decay=wanted.weight_decay,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_factor(step, self._steps, wanted.schedule, wanted.warmup)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

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


def state_in(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return what `SegmentationLearner` put into a resume file: fingerprint, history, best scores; or nothing."""
    state = checkpoint.get(_STATE)
    return state if isinstance(state, dict) else {}


class _Counts:
    """Pixels by (label, prediction), and losses, of one pass over a split."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._sums: Tensor | None = None

    def add(self, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        predicted = logits.argmax(dim=1)
        pairs = (labels.long() * self._classes + predicted).reshape(-1)
        counted = torch.bincount(pairs, minlength=self._classes**2).double()
        loss_of_batch = torch.stack([loss.double() * len(labels), counted.new_tensor(len(labels))])
        sums = torch.cat([counted, loss_of_batch])
        self._sums = sums if self._sums is None else self._sums + sums

    def total(self, device: torch.device) -> tuple[np.ndarray[Any, np.dtype[np.int64]], float]:
        """Return the table of pixels, labels by row, and the mean loss, of all processes together."""
        if self._sums is None:
            self._sums = torch.zeros(self._classes**2 + 2, dtype=torch.float64, device=device)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(self._sums)
        *cells, loss, tiles = self._sums.cpu().tolist()
        table = np.array(cells).astype(np.int64).reshape(self._classes, self._classes)
        return table, loss / tiles if tiles else 0.0
