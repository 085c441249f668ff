"""The device loop on embedded parts: devices submit, transfer, correct, return, trigger, retrain, publish, fetch."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.progress import Progress, Silent
from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions
from agir_cvtoolkit.sandbox.oracle import OracleReport

from .pose_device import look
from .pose_judging import FRACTION, WIDE, Point, draw_curve, draw_poses
from .pose_loop import Loop
from .pose_pictures import drawn_animals, real_animals
from .pose_watchers import Watchers
from .workspace import clear

_POLL_S = 0.5


@dataclass(frozen=True)
class PoseDemoResult:
    """What the demonstration showed.

    Attributes:
        folder: a workspace in which every command can be tried.
        animals: pictures in all; `held_out` of them nobody was shown.
        points: how the model in service did on the held-out animals, before and after each round.
        oracle: what the simulated annotator did, over all rounds.
        corrections: animals that she corrected.
        curve: PCK over the rounds, PNG.
        sheet: poses before and after, PNG.
        seconds: of the whole demonstration.
    """

    folder: Path
    animals: int
    held_out: int
    joints: str
    points: tuple[Point, ...]
    oracle: OracleReport
    corrections: int
    curve: Path
    sheet: Path
    seconds: float


def demo_pose(
    folder: Path = Path("demo_pose_output"),
    data: Path | None = None,
    *,
    count: int = 200,
    rounds: int | None = None,
    seed: int = 0,
    steps: int | None = None,
    progress: Progress | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> PoseDemoResult:
    """Run the device loop on drawn animals or on real pictures, with a simulated annotator.

    A first model that has seen few animals is published. In each round three devices fetch the model in service, look
    at animals that are new to them and send those of which they are least sure. The watchers of ``firebase run`` do the
    rest by themselves: what was sent goes to CVAT, comes back when the annotator is done, and makes a trigger, for
    which a model is trained, and published where it is better.

    Args:
        folder: where everything goes; that of an earlier demonstration is replaced.
        data: pictures in a layout of `agir_cvtoolkit.demo.pose_pictures.real_animals`; None draws animals.
        count: how many animals are drawn.
        rounds: how often the loop turns; None is three times, or fewer where a round would have few animals.
        seed: of the animals, the annotator's hand and the training. Which captures share a task depends on the
            moment as well, so that figures of two calls may differ a little.
        steps: of each training; None is what is configured.
        progress: where long work reports.
        tell: is given one line per step.

    Raises:
        UsageError: `folder` holds something else.
        DataError: there are too few animals for the rounds.
        AgirError: whatever a stage raises.
    """
    started = time.monotonic()
    clear(folder, "demo-pose")
    folder = folder.resolve()
    if data is None:
        tell(f"Drawing {count} animals")
        animals = drawn_animals(folder / "animals", count, seed)
    else:
        animals = real_animals(data, folder / "animals")
    with Sandbox(SandboxOptions(root=folder / "sandbox")) as sandbox:
        tell(f"Sandbox: {sandbox.url}")
        loop = Loop(folder, sandbox.url, animals, rounds, seed, steps, progress or Silent(), tell)
        with closing(loop.store):
            loop.first_model()
            with Watchers(loop.call(), _POLL_S, tell) as watchers:
                for number in range(1, len(loop.shown) + 1):
                    loop.round(number, watchers)
            return _shown(loop, time.monotonic() - started)


def _shown(loop: Loop, seconds: float) -> PoseDemoResult:
    """Draw what was seen."""
    animals, folder = loop.animals, loop.folder
    first, last = loop.points[0].scores, loop.points[-1].scores
    footer = (
        f"{len(animals.held_out)} held-out animals: PCK@5% {first.pck[FRACTION]:.3f} before, "
        f"{last.pck[FRACTION]:.3f} after; PCK@10% {first.pck[WIDE]:.3f} before, {last.pck[WIDE]:.3f} after"
    )
    predictor, found, name = loop.fetched().predictor, loop.found, "Model in service"
    if loop.refused is not None and not any(point.promoted for point in loop.points[1:]):
        # The first model would stand there twice.
        (predictor, found), name = loop.refused, "New model (not in service)"
    after = found | look(predictor, [one for one in animals.pool if one.picture_id in loop.corrected][:24])
    sheet = folder / "contact_sheet.png"
    return PoseDemoResult(
        folder=folder,
        animals=len(animals.pool) + len(animals.held_out),
        held_out=len(animals.held_out),
        joints=animals.schema.name,
        points=tuple(loop.points),
        oracle=loop.oracle,
        corrections=len(loop.corrected),
        curve=draw_curve(loop.points, folder / "pck_curve.png", len(animals.held_out)),
        sheet=draw_poses(animals, loop.before, loop.corrected, after, sheet, footer, last_column=name),
        seconds=seconds,
    )
