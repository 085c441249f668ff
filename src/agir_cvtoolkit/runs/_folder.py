"""The folder of all runs, and which of them is the current one."""

from __future__ import annotations

import uuid
from datetime import datetime
from pathlib import Path

from agir_cvtoolkit._version import __version__
from agir_cvtoolkit.errors import ConfigError, NoRunError
from agir_cvtoolkit.records import file_stem

from ._files import real_path, write_json
from ._run import MARKER, Run, now

CURRENT = "current"
_QUERY_HINT = (
    'Start one with: agir-cvtoolkit query --db semif --filters "state=NC" --limit 100 - or, with a folder of pictures:'
    " agir-cvtoolkit infer-seg pictures/ - or, with pictures that are labelled already: agir-cvtoolkit import masks"
    " labels/ --pictures pictures/"
)


def start_run(
    out_root: Path, name: str | None = None, subname: str | None = None, *, current: bool = True
) -> Run:
    """Start a run, or open the one of that name, and make it the current one.

    Args:
        out_root: the folder of all runs.
        name, subname: the run's id is ``name/subname`` or ``name``; without a name it is a sortable time
            stamp.
        current: False leaves the current run what it is: for work in the background.
    """
    run_id = "/".join(_folder_name(part) for part in (name, subname) if part) if name else ""
    if not run_id:
        run_id = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        while (out_root / run_id).exists():
            run_id = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S-%f")
    run = Run(run_id, out_root / run_id)
    _check_place(run, out_root)
    try:
        run.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{run.root} cannot be made: {error.strerror}", "Correct io.out_root.") from error
    if not _is_run(run.root):
        write_json(run.root / MARKER, {"run_id": run.run_id, "started": now(), "version": __version__})
    if current:
        make_current(run, out_root)
    return run


def _check_place(run: Run, out_root: Path) -> None:
    inside = next((p for p in run.root.parents if p.is_relative_to(out_root) and _is_run(p)), None)
    around = next(iter(run.root.glob(f"*/{MARKER}")), None)
    if inside is not None or around is not None:
        other = inside or (around and around.parent.parent)
        raise ConfigError(
            f"run '{run.run_id}' would lie in the same folder as run {other}", "Choose another project.name."
        )


def _is_run(root: Path) -> bool:
    return (root / MARKER).is_file()


def make_current(run: Run, out_root: Path) -> None:
    """Point ``<out_root>/current`` at a run."""
    link = out_root / CURRENT
    temporary = out_root / f".{CURRENT}.{uuid.uuid4().hex[:8]}"
    temporary.symlink_to(run.run_id, target_is_directory=True)
    try:
        temporary.replace(link)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigError(
            f"{link} is in the way", "Move it away: it must be a link to the current run."
        ) from error


def open_run(out_root: Path, run_id: str | None = None) -> Run:
    """Open a run by id, or the current one.

    Raises:
        NoRunError: there is none.
    """
    if run_id is not None:
        root = real_path(out_root / run_id)
        if root is None or not _is_below(root, out_root) or not _is_run(root):
            known = ", ".join(list_runs(out_root)[-5:]) or "none"
            raise NoRunError(f"run '{run_id}' does not exist in {out_root}", f"Known runs: {known}")
        return Run(str(root.relative_to(out_root.resolve())), root)
    link = out_root / CURRENT
    if not link.is_dir():
        raise NoRunError(f"there is no current run in {out_root.resolve()}", _QUERY_HINT)
    root = link.resolve()
    if not _is_below(root, out_root) or not _is_run(root):
        raise NoRunError(f"{link} leads to {root}, which is no run in {out_root}", _QUERY_HINT)
    return Run(str(root.relative_to(out_root.resolve())), root)


def current_run_id(out_root: Path) -> str | None:
    """Return the id of the current run, None where there is none."""
    try:
        return open_run(out_root).run_id
    except NoRunError:
        return None


def _is_below(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder.resolve()) and path != folder.resolve()


def list_runs(out_root: Path) -> list[str]:
    """Return the ids of all runs, sorted."""
    if not out_root.is_dir():
        return []
    found = [p.parent.parent for place in ("*", "*/*") for p in out_root.glob(f"{place}/{MARKER}")]
    relative = (p.relative_to(out_root) for p in found)
    # A run on its way out has a dot before its name; no run's own name begins so.
    return sorted(str(p) for p in relative if CURRENT not in p.parts and not p.name.startswith("."))


def _folder_name(part: str) -> str:
    name = file_stem(part)
    if name in {CURRENT, ""}:
        raise ConfigError(f"project name '{part}' cannot name a run", "Choose another project.name.")
    return name
