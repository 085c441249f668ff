"""Retrain in child processes that kill themselves at named points: ``python -m tests.stages.retraining_killed``.

What it takes to be ready is imported once; each line of the input, a folder and a point, is answered by one child.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from agir_cvtoolkit import Call
from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.stages import _pose_evaluation, _retrain_data, _retraining
from agir_cvtoolkit.stages import retrain as stage
from agir_cvtoolkit.training import pose_training

from . import retraining as world

POINTS: dict[str, tuple[object, str, bool]] = {
    "claimed": (EmbeddedStore, "claim_trigger", True),
    "pictures": (_retrain_data, "fetch_pictures", True),
    "split": (Ledger, "grow_split", True),
    "data set written": (_retraining, "write_pose_set", True),
    "trained": (pose_training, "train_pose", True),
    "recorded": (Ledger, "record_model", True),
    "evaluated": (_retraining, "keep_evaluation", True),
    "copied": (_retraining, "put_in_place", True),
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


def work(call: Call, point: str) -> str:
    """Retrain, and return what became of it; a point that is not known kills nothing."""
    torch.set_num_threads(1)
    world.with_small_encoder(setattr)
    # The small network sees nothing; what it is judged by stands for one that does.
    _pose_evaluation.judge_pose = world.judged_half
    _note(pose_training, "train_pose", "trainings.log", lambda done: done.state != "unchanged")
    _note(EmbeddedStore, "publish", "publications.log", lambda _: True)
    if point in POINTS or point == "training":
        _kill_at(point)
    return stage.retrain(call).state


def main() -> None:
    """Answer each line with the child's exit code and its last words."""
    call: Call | None = None
    for line in sys.stdin:
        folder, point = json.loads(line)
        os.chdir(folder)
        if call is None:
            call = world.call("pose_train.save_every=1")
            call.settings()  # of no folder, as all its paths are relative
        Path("worm.yaml").write_text(world.SCHEMA)
        said = Path("said.txt")
        said.unlink(missing_ok=True)
        child = os.fork()
        if not child:
            try:
                said.write_text(work(call, point))
                os._exit(0)
            except BaseException:  # noqa: BLE001 - what is said of it is the test's business
                said.write_text(traceback.format_exc())
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        words = said.read_text() if said.is_file() else ""
        sys.stdout.write(json.dumps([code, words]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
