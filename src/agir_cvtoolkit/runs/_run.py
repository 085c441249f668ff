"""One run: its files, its passes, its metrics."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from agir_cvtoolkit._version import __version__
from agir_cvtoolkit.errors import DataError, NoRunError, UsageError
from agir_cvtoolkit.records import ManifestEntry

from ._files import read_json_object, real_path, temporaries, write_json, write_text
from ._locks import is_locked, try_lock
from ._manifest import append_line, read_lines

DATA_SET = "data-set"
"""Lock of a run's data set, which ``preprocess`` writes and ``train`` reads."""
STATE_DIR = ".state"
MARKER = f"{STATE_DIR}/run.json"
_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())


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
        path = real_path(self.root / relative)
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
        append_line(self.manifest_path, entry)

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
        return read_lines(path)

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
        state = {"fingerprint": fingerprint, "number": number, "started": now(), "finished": None}
        write_json(self._state_path(stage), state)
        return StagePass(stage, fingerprint, number, "replaced" if moved else "new")

    def finish(self, stage_pass: StagePass) -> None:
        """Say that a pass is complete, so that the same call again does nothing."""
        state = self._state(stage_pass.stage) | {"finished": now()}
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
        state = {"fingerprint": fingerprint, "number": number, "started": now(), "finished": now()}
        write_json(self._state_path(stage), state)

    @contextmanager
    def lock(self, stage: str) -> Iterator[None]:
        """Hold a stage of this run against other processes; a killed process lets go by itself.

        The half-written files that killed calls and workers left in the run are removed, at the beginning and at the
        end. Who holds the data set already may hold it again: ``train`` preprocesses.

        Raises:
            UsageError: another process holds it.
        """
        path = self.path(STATE_DIR, f"{stage}.lock").resolve()
        if stage == DATA_SET and path in _held.get():
            yield
            return
        with try_lock(path) as locked:
            if not locked:
                what = f"the data set of run {self.run_id} is in use by another preprocess or train"
                if stage != DATA_SET:
                    what = f"{stage} is already running on run {self.run_id}"
                raise UsageError(what, "Wait until it has ended.")
            self._sweep(path)
            token = _held.set(_held.get() | {path})
            try:
                yield
            finally:
                _held.reset(token)
                self._sweep(path)

    def _sweep(self, own: Path) -> None:
        """Remove half-written files, unless another call is at work, whose they may be."""
        left = temporaries(self.root)
        if left and not any(is_locked(lock) for lock in own.parent.glob("*.lock") if lock != own):
            for path in left:
                path.unlink(missing_ok=True)

    def finished_at(self, stage: str) -> str | None:
        """When the newest pass of a stage was completed (ISO 8601, UTC), None where it has not been."""
        finished = self._state(stage).get("finished")
        return str(finished) if finished is not None else None

    def started_at(self) -> str | None:
        """When the run was started (ISO 8601, UTC), None where its mark does not say it."""
        started = read_json_object(self.root / MARKER).get("started")
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
        return self.path(STATE_DIR, f"{stage}.json")

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
            "git_commit": git_commit(),
            "host": socket.gethostname(),
            "created": now(),
            "command_line": list(command_line),
        }
        content = yaml.safe_dump(
            {"runtime": runtime, **resolved}, sort_keys=False, allow_unicode=True, default_flow_style=False
        )
        write_text(self.path(f"cfg.{stage}.yaml"), content)


def now() -> str:
    """Return the time as runs write it (ISO 8601, UTC)."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def git_commit() -> str | None:
    """Return the commit that is checked out in the working directory, or None."""
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
