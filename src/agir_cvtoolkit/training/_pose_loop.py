"""The loop of a pose training: seeded, saved as it goes, continued after a kill."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agir_cvtoolkit._version import __version__
from agir_cvtoolkit.config._pose import PoseTrain
from agir_cvtoolkit.errors import CheckpointError, DataError, InterruptedByUser, UsageError
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.models.card import CARD_NAME, ArchSpec, ModelCard, TrainedOn
from agir_cvtoolkit.models.checkpoint import load_checkpoint, save_checkpoint
from agir_cvtoolkit.models.devices import device_for
from agir_cvtoolkit.models.heatmap import HeatmapNet, build_heatmap, heatmap_loss
from agir_cvtoolkit.models.plain import load_plain
from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.runs import atomic_path, discard, git_commit, write_text

from ._pose_features import Lessons
from .pose_samples import PoseSample
from .pose_training import BEST, HISTORY, LAST, PoseProgress, PoseTraining
from .pose_validation import held_out_scores
from .surroundings import disk_errors, seeded

_START, _END = 0.04, 1e-3
_LARGEST_GRADIENT = 5.0


@disk_errors()
def run_pose_training(
    samples: Sequence[PoseSample],
    held_out: Sequence[PoseSample],
    schema: JointSchema,
    settings: PoseTrain,
    out_dir: Path,
    key: str,
    digest: str,
    initial: Path | None,
    progress: Progress,
) -> PoseTraining:
    """Train and write the checkpoint; see `pose_training.train_pose`."""
    device = device_for(settings.device, "pose_train.device")
    with seeded(settings.seed):
        torch.use_deterministic_algorithms(True, warn_only=True)
        network, spec = _network(schema, settings, initial)
        network = network.to(device)
        state = _State(network, settings)
        continued = state.resume(out_dir / LAST, key)
        if not continued:
            for name in (BEST, CARD_NAME, LAST, HISTORY):
                discard(out_dir / name)
        lessons = Lessons(samples, schema, settings, network, device)
        try:
            with progress.bar("train", settings.steps) as bar:
                bar.advance(state.step)
                _steps(state, lessons, len(samples), out_dir, key, bar.advance)
        except KeyboardInterrupt as error:
            raise InterruptedByUser("training was interrupted", "Start it again to continue.") from error
        except torch.OutOfMemoryError as error:
            raise UsageError(
                "the GPU ran out of memory", "Lower pose_train.batch_size or pose_train.model.input_size"
            ) from error
        network = network.cpu().eval()
    card = _card(spec, samples, held_out, schema, settings, digest)
    history = tuple(state.history)
    metrics = {"train_loss": history[-1].loss} if history else {}
    metrics |= held_out_scores(network, card, held_out, device)
    card = save_checkpoint(out_dir / BEST, network, replace(card, metrics=metrics))
    how = "continued" if continued else "trained"
    return PoseTraining(out_dir / BEST, card, history, metrics, len(samples), len(held_out), how)


class _State:
    """What changes while training, and its resume file."""

    def __init__(self, network: HeatmapNet, settings: PoseTrain) -> None:
        self.network, self.settings = network, settings
        self.step = 0
        self.history: list[PoseProgress] = []
        self.frozen = settings.model.encoder_freeze
        wanted = settings.optimizer
        groups: list[dict[str, Any]] = [{"params": list(network.head.parameters()), "lr": wanted.lr}]
        network.encoder.requires_grad_(not self.frozen)
        if not self.frozen:
            rate = wanted.lr * wanted.encoder_lr_factor
            groups.append({"params": list(network.encoder.parameters()), "lr": rate})
        self._rates = [group["lr"] for group in groups]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=wanted.weight_decay)

    @property
    def learned(self) -> nn.Module:
        """The part whose weights change."""
        return self.network.head if self.frozen else self.network

    def train_mode(self) -> None:
        self.network.eval()
        self.learned.train()
        # Statistics of a few poses are worse than ImageNet's; only an encoder without any must find its own.
        if self.frozen or self.settings.model.encoder_weights is not None:
            for norm in self.network.encoder.norms():
                norm.eval()

    def set_rates(self) -> float:
        factor = one_cycle(self.step, self.settings.steps)
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        return float(self._rates[0] * factor)

    def save(self, path: Path, key: str) -> None:
        content = {
            "fingerprint": key,
            "step": self.step,
            "weights": self.learned.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": [asdict(stretch) for stretch in self.history],
        }
        with atomic_path(path) as temporary:
            torch.save(content, temporary)

    def resume(self, path: Path, key: str) -> bool:
        """Take up a training of the same key; False where there is none."""
        if not path.is_file():
            return False
        try:
            content = load_plain(path)
        except ValueError:
            return False
        if not isinstance(content, dict) or content.get("fingerprint") != key:
            return False
        self.learned.load_state_dict(content["weights"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.history = [PoseProgress(**values) for values in content["history"]]
        self.step = int(content["step"])
        return True


def _steps(state: _State, lessons: Lessons, count: int, out_dir: Path, key: str, advance: Any) -> None:
    settings = state.settings
    state.train_mode()
    losses: list[Tensor] = []
    started = time.perf_counter()
    while state.step < settings.steps:
        rate = state.set_rates()
        inputs, places, hidden = lessons.batch(keys_of_step(state.step, count, settings))
        network = state.network
        logits = network.head(inputs) if isinstance(inputs, list) else network(inputs)
        loss = heatmap_loss(logits, places, hidden)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(state.learned.parameters(), _LARGEST_GRADIENT)
        state.optimizer.step()
        losses.append(loss.detach())
        state.step += 1
        advance(1)
        if state.step % settings.save_every == 0 or state.step == settings.steps:
            mean = float(torch.stack(losses).mean())
            if not math.isfinite(mean):
                raise DataError(
                    f"training diverged before step {state.step}: the loss is not finite",
                    "Lower pose_train.optimizer.lr",
                )
            state.history.append(PoseProgress(state.step, mean, rate, time.perf_counter() - started))
            losses, started = [], time.perf_counter()
            state.save(out_dir / LAST, key)
            _write_history(out_dir / HISTORY, state.history)


def keys_of_step(step: int, count: int, settings: PoseTrain) -> list[tuple[int, int]]:
    """Return (sample, variation) of a step's batch: every pass shuffles anew and shows the next variation."""
    keys = []
    for number in range(step * settings.batch_size, (step + 1) * settings.batch_size):
        turn, place = divmod(number, count)
        keys.append((int(_order(settings.seed, turn, count)[place]), turn % settings.variations))
    return keys


@lru_cache(maxsize=4)
def _order(seed: int, turn: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, turn]).permutation(count)


def one_cycle(step: int, steps: int) -> float:
    """Return the factor on the highest rate: up for a fifth of the way, then down, by cosines."""
    top = max(1, steps // 5)
    if step < top:
        return _START + (1 - _START) * (1 - math.cos(math.pi * step / top)) / 2
    done = min(1.0, (step - top) / max(1, steps - top))
    return max(_END, (1 + math.cos(math.pi * done)) / 2)


def architecture(schema: JointSchema, settings: PoseTrain) -> ArchSpec:
    """Return the network that the settings ask for."""
    return ArchSpec(
        name="heatmap",
        encoder=settings.model.encoder_name.lower().replace("-", "_"),
        classes=len(schema.joints),
        decoder_channels=settings.model.widths,
        encoder_weights=settings.model.encoder_weights,
    )


def _network(schema: JointSchema, settings: PoseTrain, initial: Path | None) -> tuple[HeatmapNet, ArchSpec]:
    if initial is None:
        spec = architecture(schema, settings)
        return build_heatmap(spec), spec
    network, card = load_checkpoint(initial, "pose")
    if card.schema is None or card.schema.joints != schema.joints or not isinstance(network, HeatmapNet):
        known = card.schema.name if card.schema else "none"
        raise CheckpointError(
            f"the model {initial} knows the joints of {known}, not those of {schema.name}",
            "Train from the start, or choose the schema that the model was trained with.",
        )
    return network, card.architecture


def _card(
    spec: ArchSpec,
    samples: Sequence[PoseSample],
    held_out: Sequence[PoseSample],
    schema: JointSchema,
    settings: PoseTrain,
    digest: str,
) -> ModelCard:
    size = settings.model.input_size
    return ModelCard(
        name=spec.title,
        version="",
        architecture=spec,
        classes=(),
        class_ids=(),
        tile_size=(size, size),
        trained_on=TrainedOn(
            dataset=digest,
            pictures=len({sample.record_id for sample in (*samples, *held_out)}),
            splits={"train": len(samples)} | ({"val": len(held_out)} if held_out else {}),
        ),
        configuration=settings.model_dump(mode="json"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        package_version=__version__,
        commit=git_commit() or "",
        kind="pose",
        schema=schema,
        padding=settings.model.padding,
    )


def _write_history(path: Path, history: Sequence[PoseProgress]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(PoseProgress)], lineterminator="\n")
    writer.writeheader()
    rows: list[Mapping[str, float]] = [asdict(stretch) for stretch in history]
    writer.writerows({name: round(value, 6) for name, value in row.items()} for row in rows)
    write_text(path, text.getvalue())
