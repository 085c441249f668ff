"""Run folders: one pass over a set of records, through which the stages find each other.

Every file is written under a temporary name and renamed, so a killed stage leaves whole files or none. The
layout is that of section "What lies in a run" of the documentation.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

import yaml

from ._version import __version__
from .errors import ConfigError, DataError, NoRunError, UsageError
from .records import ManifestEntry, file_stem

CURRENT = "current"
DATA_SET = "data-set"
"""Lock of a run's data set, which ``preprocess`` writes and ``train`` reads."""
_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())
_STATE_DIR = ".state"
_MARKER = f"{_STATE_DIR}/run.json"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to, and rename it to `path` when the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:80]}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a UTF-8 file whole or not at all."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: object) -> None:
    """Write a JSON file, indented, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")


def fingerprint(*parts: object) -> str:
    """Return a short hash of JSON-like values: equal inputs and configuration give the same stage pass."""
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class StagePass:
    """One pass of a stage over a run.

    Attributes:
        state: ``new`` when nothing was there, ``continued`` after an unfinished pass with the same inputs and
            configuration, ``done`` after a finished one, ``replaced`` when an earlier pass with others was
            moved to ``history/<stage>/<number>/``.
        number: 1 for the first pass of this stage in the run.
    """

    stage: str
    fingerprint: str
    number: int
    state: Literal["new", "continued", "done", "replaced"]


@dataclass(frozen=True)
class Run:
    """A run's folder."""

    run_id: str
    root: Path

    def path(self, *parts: str) -> Path:
        """Return a path inside the run; its folder appears when something is written."""
        return self.root.joinpath(*parts)

    def inside(self, relative: str) -> Path:
        """Resolve a path that a file of the run names.

        Raises:
            DataError: the path leads out of the run.
        """
        path = _real(self.root / relative)
        if path is None or not path.is_relative_to(self.root.resolve()):
            raise DataError(f"{relative} leads out of run {self.run_id}", "Run infer-seg again.")
        return path

    # --- manifest ---------------------------------------------------------------------------------

    @property
    def manifest_path(self) -> Path:
        """The manifest of predictions."""
        return self.path("manifest.jsonl")

    def append_manifest(self, entry: ManifestEntry) -> None:
        """Append one line durably; a torn line of a killed process is dropped by the next reader."""
        self.root.mkdir(parents=True, exist_ok=True)
        line = (entry.to_json() + "\n").encode("utf-8", "surrogatepass")
        _mend_tail(self.manifest_path)
        with self.manifest_path.open("ab") as stream:
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())

    def read_manifest(self) -> list[ManifestEntry]:
        """Read the manifest; the last line of a record wins, a torn last line is ignored.

        Raises:
            NoRunError: there is none.
            DataError: a line in the middle is damaged.
        """
        path = self.manifest_path
        if not path.is_file():
            raise NoRunError(
                f"run {self.run_id} has no manifest.jsonl",
                "Predict first: agir-cvtoolkit infer-seg -o seg_inference.output.save_images=true",
            )
        entries: dict[str, ManifestEntry] = {}
        lines = path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                entry = ManifestEntry.from_json(line.decode("utf-8", "surrogatepass"))
            except ValueError as error:
                if number == len(lines):
                    continue
                raise DataError(
                    f"{path} line {number} is damaged: {error}", "Run infer-seg again."
                ) from error
            entries[entry.record_id] = entry
        return list(entries.values())

    # --- passes -----------------------------------------------------------------------------------

    def begin(self, stage: str, fingerprint: str, outputs: tuple[str, ...]) -> StagePass:
        """Begin or continue a pass of a stage.

        Args:
            stage: the command's name.
            fingerprint: of the stage's inputs and configuration.
            outputs: names in the run's folder that the stage owns; those of an earlier pass with another
                fingerprint move to ``history/<stage>/<number>/``.
        """
        known = self._state(stage)
        if known.get("fingerprint") == fingerprint:
            done = known.get("finished") is not None
            return StagePass(stage, fingerprint, int(known["number"]), "done" if done else "continued")
        number = int(known.get("number", 0)) + 1
        moved = False
        if known:
            moved = self._retire(stage, int(known["number"]), outputs)
        state = {"fingerprint": fingerprint, "number": number, "started": _now(), "finished": None}
        write_json(self._state_path(stage), state)
        return StagePass(stage, fingerprint, number, "replaced" if moved else "new")

    def finish(self, stage_pass: StagePass) -> None:
        """Say that a pass is complete, so that the same call again does nothing."""
        state = self._state(stage_pass.stage) | {"finished": _now()}
        write_json(self._state_path(stage_pass.stage), state)

    def reopen(self, stage_pass: StagePass) -> None:
        """Say that a finished pass must be continued (some of its outputs are gone)."""
        state = self._state(stage_pass.stage) | {"finished": None}
        write_json(self._state_path(stage_pass.stage), state)

    def is_done(self, stage: str) -> bool:
        """Whether the newest pass of a stage is complete."""
        return self._state(stage).get("finished") is not None

    def mark_done(self, stage: str, fingerprint: str) -> None:
        """Say that a stage is complete whose passes are told apart elsewhere (by the ledger)."""
        number = int(self._state(stage).get("number", 0)) or 1
        state = {"fingerprint": fingerprint, "number": number, "started": _now(), "finished": _now()}
        write_json(self._state_path(stage), state)

    @contextmanager
    def lock(self, stage: str) -> Iterator[None]:
        """Hold a stage of this run against other processes; a killed process lets go by itself.

        Who holds the data set already may hold it again: ``train`` preprocesses.

        Raises:
            UsageError: another process holds it.
        """
        path = self.path(_STATE_DIR, f"{stage}.lock").resolve()
        if stage == DATA_SET and path in _held.get():
            yield
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as stream:
            if not _try_lock(stream):
                what = f"the data set of run {self.run_id} is in use by another preprocess or train"
                if stage != DATA_SET:
                    what = f"{stage} is already running on run {self.run_id}"
                raise UsageError(what, "Wait until it has ended.")
            token = _held.set(_held.get() | {path})
            try:
                yield
            finally:
                _held.reset(token)

    def finished_at(self, stage: str) -> str | None:
        """When the newest pass of a stage was completed (ISO 8601, UTC), None where it has not been."""
        finished = self._state(stage).get("finished")
        return str(finished) if finished is not None else None

    def started_at(self) -> str | None:
        """When the run was started (ISO 8601, UTC), None where its mark does not say it."""
        started = read_json_object(self.root / _MARKER).get("started")
        return str(started) if started is not None else None

    def has_begun(self, stage: str) -> bool:
        """Whether a pass of a stage was ever begun."""
        return bool(self._state(stage))

    def _retire(self, stage: str, number: int, outputs: tuple[str, ...]) -> bool:
        target = self.path("history", stage, str(number))
        moved = False
        for name in outputs:
            source = self.path(name)
            if source.exists():
                destination = target / name
                destination.parent.mkdir(parents=True, exist_ok=True)
                source.rename(destination)
                moved = True
        return moved

    def _state_path(self, stage: str) -> Path:
        return self.path(_STATE_DIR, f"{stage}.json")

    def _state(self, stage: str) -> dict[str, Any]:
        return read_json_object(self._state_path(stage))

    # --- metrics and configuration ----------------------------------------------------------------

    def write_metrics(self, stage: str, metrics: Mapping[str, object], *, number: int = 1) -> None:
        """Write ``metrics.json``: the stage's object under its name, and its fields at the top level.

        Objects of earlier passes are kept, oldest first, in the list ``history.<stage>``.
        """
        known = read_json_object(self.path("metrics.json"))
        stages = {name: value for name, value in known.items() if isinstance(value, dict) and "pass" in value}
        history: dict[str, Any] = dict(known.get("history", {}))
        earlier = stages.get(stage)
        if earlier is not None and earlier["pass"] != number:
            history.setdefault(stage, []).append(earlier)
        stages[stage] = dict(metrics) | {"pass": number}
        write_json(self.path("metrics.json"), dict(metrics) | stages | {"history": history})

    def read_metrics(self, stage: str) -> dict[str, Any]:
        """Return the newest metrics of a stage, empty where it has not run."""
        found = read_json_object(self.path("metrics.json")).get(stage, {})
        return dict(found)

    def write_config(self, stage: str, resolved: Mapping[str, object], command_line: tuple[str, ...]) -> None:
        """Write ``cfg.<stage>.yaml``: resolved configuration, version, git commit, host and command line."""
        runtime = {
            "stage": stage,
            "run_id": self.run_id,
            "version": __version__,
            "git_commit": _git_commit(),
            "host": socket.gethostname(),
            "created": _now(),
            "command_line": list(command_line),
        }
        content = yaml.safe_dump(
            {"runtime": runtime, **resolved}, sort_keys=False, allow_unicode=True, default_flow_style=False
        )
        write_text(self.path(f"cfg.{stage}.yaml"), content)


def start_run(out_root: Path, name: str | None = None, subname: str | None = None) -> Run:
    """Start a run and make it the current one.

    Args:
        out_root: the folder of all runs.
        name, subname: the run's id is ``name/subname`` or ``name``; without a name it is a sortable time
            stamp.
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
        write_json(run.root / _MARKER, {"run_id": run.run_id, "started": _now(), "version": __version__})
    make_current(run, out_root)
    return run


def _check_place(run: Run, out_root: Path) -> None:
    inside = next((p for p in run.root.parents if p.is_relative_to(out_root) and _is_run(p)), None)
    around = next(iter(run.root.glob(f"*/{_MARKER}")), None)
    if inside is not None or around is not None:
        other = inside or (around and around.parent.parent)
        raise ConfigError(
            f"run '{run.run_id}' would lie in the same folder as run {other}", "Choose another project.name."
        )


def _is_run(root: Path) -> bool:
    return (root / _MARKER).is_file()


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
        root = _real(out_root / run_id)
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


def _real(path: Path) -> Path | None:
    try:
        resolved = path.resolve()
        resolved.exists()
    except (OSError, ValueError, RuntimeError):  # a name too long, with a null in it, links in a circle
        return None
    return resolved


def _is_below(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder.resolve()) and path != folder.resolve()


_QUERY_HINT = 'Start one with: agir-cvtoolkit query --db semif --filters "state=NC" --limit 100'


def list_runs(out_root: Path) -> list[str]:
    """Return the ids of all runs, sorted."""
    if not out_root.is_dir():
        return []
    found = [p.parent.parent for place in ("*", "*/*") for p in out_root.glob(f"{place}/{_MARKER}")]
    relative = (p.relative_to(out_root) for p in found)
    # A run on its way out has a dot before its name; no run's own name begins so.
    return sorted(str(p) for p in relative if CURRENT not in p.parts and not p.name.startswith("."))


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; a missing file is an empty one.

    Raises:
        DataError: the file is damaged.
    """
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}", "Move it away and run the stage again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object", "Move it away and run the stage again.")
    return content


def discard(path: Path) -> None:
    """Remove a file or a folder with all it holds, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _try_lock(stream: IO[str]) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows has no advisory locks of this kind; the ledger's transactions remain
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _mend_tail(path: Path) -> None:
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("rb+") as stream:
        stream.seek(-1, os.SEEK_END)
        if stream.read(1) == b"\n":
            return
        stream.seek(0)
        content = stream.read()
        start = content.rfind(b"\n") + 1
        try:
            ManifestEntry.from_json(content[start:].decode("utf-8", "surrogatepass"))
            stream.write(b"\n")
        except ValueError:
            stream.truncate(start)


def _folder_name(part: str) -> str:
    name = file_stem(part)
    if name in {CURRENT, ""}:
        raise ConfigError(f"project name '{part}' cannot name a run", "Choose another project.name.")
    return name


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _git_commit() -> str | None:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - found by PATH as everywhere
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout.strip()
    return None
