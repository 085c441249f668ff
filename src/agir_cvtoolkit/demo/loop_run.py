"""``loop`` on embedded parts: rounds of drawn scenes or real pictures, with a simulated annotator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.progress import Progress, Silent
from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions
from agir_cvtoolkit.sandbox.oracle import OracleReport
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.build_db import build_db
from agir_cvtoolkit.stages.loop import LoopOptions, LoopResult, Step, loop
from agir_cvtoolkit.stages.query import query

from .loop_annotator import LoopAnnotator
from .pictures import DemoPictures, drawn_pictures, real_pictures
from .run import project_of, settings_of
from .workspace import clear, configure

NAME = "demo"
POOL = "pool"


@dataclass(frozen=True)
class DemoLoopResult:
    """What the demonstration showed.

    Attributes:
        folder: a workspace in which every command can be tried.
        loop: where it stands: its rounds, the model in service and its score.
        oracle: what the simulated annotator did.
        seconds: of the whole demonstration.
    """

    folder: Path
    pictures: int
    loop: LoopResult
    oracle: OracleReport
    seconds: float


@dataclass(frozen=True)
class LoopWorkspace:
    """A workspace in which a loop can be run, with a sandbox that runs.

    Attributes:
        folder: absolute.
        conf: folder with the settings.
        out_root: the folder of all runs.
        url: of the sandbox.
    """

    folder: Path
    conf: Path
    out_root: Path
    url: str
    pictures: DemoPictures


def demo_loop(
    folder: Path = Path("demo_loop_output"),
    data: Path | None = None,
    *,
    rounds: int = 3,
    count: int = 27,
    each: int | None = None,
    seed: int = 0,
    epochs: int | None = None,
    progress: Progress | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> DemoLoopResult:
    """Run whole rounds on drawn scenes or on real pictures.

    Args:
        folder: where everything goes; that of an earlier demonstration is replaced.
        data: pictures in the layout of `agir_cvtoolkit.demo.pictures.real_pictures`; None draws scenes.
        rounds: how many.
        count: how many scenes are drawn.
        each: pictures of a round; None shares all of them among the rounds.
        seed: of the scenes and of the training.
        epochs: of each training; None is what suits the pictures.
        progress: where long work reports.
        tell: is given one line per step.

    Raises:
        UsageError: `folder` holds something else.
        AgirError: whatever a stage raises.
    """
    started = time.monotonic()
    with loop_workspace(folder, data, count=count, seed=seed, epochs=epochs, tell=tell) as workspace:
        pictures = workspace.pictures
        call = Call(config=str(workspace.conf), progress=progress or Silent(), command_line=("demo",))
        options = LoopOptions(rounds=rounds, count=each or max(4, len(pictures.species) // rounds), pool=POOL)

        def said(step: Step) -> None:
            if step.state == "worked" and step.round is not None:
                tell(f"Round {step.round.number}: {step.words}")

        with LoopAnnotator(workspace.url, workspace.out_root, NAME, pictures, tell) as annotator:
            done = loop(NAME, options, call, tell=said)
        return DemoLoopResult(
            workspace.folder, len(pictures.species), done, annotator.report, time.monotonic() - started
        )


@contextmanager
def loop_workspace(
    folder: Path,
    data: Path | None,
    *,
    count: int,
    seed: int,
    epochs: int | None,
    tell: Callable[[str], None] = lambda line: None,
) -> Iterator[LoopWorkspace]:
    """Make a workspace with a pool of pictures, and give it with a sandbox that runs.

    Args:
        folder, data, count, seed, epochs, tell: as of `demo_loop`.

    Raises:
        UsageError: `folder` holds something else.
    """
    clear(folder, NAME)
    folder = folder.resolve()
    if data is None:
        tell(f"Drawing {count} field scenes")
        pictures = drawn_pictures(folder / "pictures", count, seed)
    else:
        pictures = real_pictures(data, folder)
    with Sandbox(SandboxOptions(root=folder / "sandbox")) as sandbox:
        tell(f"Sandbox: {sandbox.url}")
        groups = settings_of(
            folder, project_of(sandbox.url, pictures), pictures, epochs, seed, real=data is not None
        )
        groups["preprocess"].pop("split")
        groups["loop"] = {"poll_s": 0.3}
        configure(folder, sandbox.url, groups)
        conf = folder / "conf"
        call = Call(config=str(conf), command_line=("demo",))
        build_db(pictures.folder, pictures.records_csv, folder / "semif.db", call=call)
        query(call=Call(overrides=(f"project.name={POOL}",), config=str(conf)))
        yield LoopWorkspace(folder, conf, folder / "outputs" / "runs", sandbox.url, pictures)
