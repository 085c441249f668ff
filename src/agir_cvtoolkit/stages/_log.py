"""The structured log of a stage: ``logs/<stage>.jsonl`` of the run, one JSON object per line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

from agir_cvtoolkit.config import redacted
from agir_cvtoolkit.runs import Run

_ROOT = logging.getLogger("agir_cvtoolkit")
_at_work: ContextVar[tuple[Path, ...]] = ContextVar("at_work", default=())
"""The logs that the stages of this thread write."""


@contextmanager
def stage_log(run: Run, stage: str) -> Iterator[None]:
    """Write what this package logs within the block to the stage's log, secrets replaced, and how the block ended.

    Of stages that work at one time in threads of one process each has what its own thread says, and what threads
    say of which nobody knows whose they are.
    """
    path = run.path("logs", f"{stage}.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_JsonLines())
    handler.setLevel(logging.INFO)
    handler.addFilter(lambda _: not _at_work.get() or path in _at_work.get())
    level = _ROOT.level
    _ROOT.addHandler(handler)
    if level == logging.NOTSET or level > logging.INFO:
        _ROOT.setLevel(logging.INFO)
    mine = _at_work.set((*_at_work.get(), path))
    try:
        _ROOT.info("%s begins", stage)
        yield
        _ROOT.info("%s is done", stage)
    except BaseException as error:
        _ROOT.info("%s ended early: %s: %s", stage, type(error).__name__, error)
        raise
    finally:
        _ROOT.removeHandler(handler)
        _ROOT.setLevel(level)
        handler.close()
        _at_work.reset(mine)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        content = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "room": record.name.removeprefix("agir_cvtoolkit."),
            "message": redacted(record.getMessage()),
        }
        if record.exc_info:
            content["traceback"] = redacted(self.formatException(record.exc_info))
        return json.dumps(content, ensure_ascii=False)
