"""A workspace in which ``loop`` runs on embedded parts, of drawn scenes or real pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.build_db import build_db
from agir_cvtoolkit.stages.query import query

from .pictures import DemoPictures, drawn_pictures, real_pictures
from .run import project_of, settings_of
from .workspace import clear, configure

NAME = "demo"
POOL = "pool"


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
        folder, data, count, seed, epochs, tell: as of `agir_cvtoolkit.demo.run.demo`.

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
