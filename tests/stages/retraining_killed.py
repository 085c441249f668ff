"""Run one retraining and kill this process at a named point: ``python -m tests.stages.retraining_killed POINT``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.stages import _pose_evaluation, _retrain_data
from agir_cvtoolkit.stages import retrain as stage
from agir_cvtoolkit.training import pose_training

from . import retraining as world

POINTS: dict[str, tuple[object, str, bool]] = {
    "claimed": (EmbeddedStore, "claim_trigger", True),
    "pictures": (_retrain_data, "fetch_pictures", True),
    "split": (Ledger, "grow_split", True),
    "data set written": (stage, "write_pose_set", True),
    "trained": (pose_training, "train_pose", True),
    "recorded": (Ledger, "record_model", True),
    "evaluated": (stage, "keep_evaluation", True),
    "copied": (stage, "put_in_place", True),
    "files published": (EmbeddedStore, "publish", False),
    "published": (EmbeddedStore, "publish", True),
    "promoted": (Ledger, "promote", True),
    "finishing": (EmbeddedStore, "finish_trigger", False),
    "finished": (EmbeddedStore, "finish_trigger", True),
}
"""What is killed: the owner of a function, its name, and whether after it; ``training`` is the middle of it."""


def die(*_: object, **__: object) -> Any:
    """End as a machine does that loses its power."""
    os.kill(os.getpid(), signal.SIGKILL)


def _note(owner: Any, name: str, file: str, counts: Callable[[Any], bool]) -> None:
    real = getattr(owner, name)

    def noted(*args: Any, **more: Any) -> Any:
        result = real(*args, **more)
        if counts(result):
            with Path(file).open("a") as stream:
                stream.write(f"{getattr(result, 'state', '')}\n")
        return result

    setattr(owner, name, noted)


def _kill_at(point: str) -> None:
    if point == "training":
        torch.optim.AdamW.step = die  # type: ignore[method-assign]
        return
    owner, name, after = POINTS[point]
    real = getattr(owner, name)

    def killed(*args: Any, **more: Any) -> Any:
        if after:
            real(*args, **more)
        die()

    setattr(owner, name, killed)


def main(point: str) -> None:
    """Retrain; a point that is not known kills nothing."""
    torch.set_num_threads(1)
    # The tiny network sees nothing; what it is judged by stands for one that does.
    _pose_evaluation.judge_pose = world.judged_half
    _note(pose_training, "train_pose", "trainings.log", lambda done: done.state != "unchanged")
    _note(EmbeddedStore, "publish", "publications.log", lambda _: True)
    if point in POINTS or point == "training":
        _kill_at(point)
    result = stage.retrain(world.call("pose_train.save_every=1"))
    sys.stdout.write(f"{result.state} {result.version}\n")


if __name__ == "__main__":
    main(sys.argv[1])
