"""The command line as the matrix calls it: in this process, or in one of its own that is killed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import agir_cvtoolkit.config
import agir_cvtoolkit.stages.download_cvat
import agir_cvtoolkit.stages.upload_cvat
from agir_cvtoolkit.cli import main
from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import session, upload
from agir_cvtoolkit.cvat.clock import Clock
from agir_cvtoolkit.cvat.transport import Response, Transport
from agir_cvtoolkit.stages import _pull_read as pull_read
from tests.forkserver import forkserver

from .requests import Row
from .troubles import BY_NAME
from .wire import Day, Sent, SkippedTime, Wire

writing: Any = import_module("agir_cvtoolkit.cvat.annotations")
_groups_of = upload.groups_of
BODY_BYTES = 400
GROUP_FILES = 2


@contextmanager
def small_pieces(*, by_export: bool) -> Iterator[None]:
    """Let small work be split as large work is: several groups of pictures, several bodies of annotations."""

    def groups_of(pictures: Any, options: upload.UploadOptions) -> Any:
        return _groups_of(pictures, replace(options, group_files=GROUP_FILES))

    defaults = {**(writing.write_new.__kwdefaults__ or {}), "body_bytes": BODY_BYTES}
    with ExitStack() as stack:
        stack.enter_context(patch.object(upload, "groups_of", groups_of))
        stack.enter_context(patch.object(writing.write_new, "__kwdefaults__", defaults))
        if by_export:
            stack.enter_context(patch.object(pull_read, "EXPORT_FROM_PIXELS", 1))
        yield


@contextmanager
def conversation(wire: Callable[[], Transport], clock: Clock) -> Iterator[None]:
    """Let sessions be opened over a wire and by a clock of the test's own."""
    with (
        patch.object(session, "Urllib3Transport", lambda **_: wire()),
        patch.object(session, "SystemClock", lambda: clock),
    ):
        yield


@dataclass(frozen=True)
class Doomed:
    """A call in a process of its own.

    Attributes:
        settings: as composed already, which takes longer than all the rest.
        trouble: what kills it at the request `at`; without one it is killed from outside, or lives.
    """

    folder: Path
    words: tuple[str, ...]
    settings: Settings
    by_export: bool = False
    trouble: str | None = None
    at: Row | None = None


class _Nowhere:
    """The world around a process that only dies."""

    def stop_server(self) -> None: ...

    def forget_requests(self) -> None: ...

    def fill_disk(self) -> None: ...


def run_doomed(call: Doomed, begun: Connection | None = None) -> None:
    """Run a command and leave with its exit code; the body of a process."""
    os.chdir(call.folder)
    act = BY_NAME[call.trouble].act if call.trouble else None

    def act_here(day: Day, sent: Sent) -> Response:
        assert act is not None
        return act(_Nowhere(), day, sent)

    day = Day(call.at, act_here if act else None)
    with Path(os.devnull).open("w") as nowhere:
        sys.stdout = sys.stderr = nowhere
        sys.argv = ["agir-cvtoolkit", *call.words]
        with (
            small_pieces(by_export=call.by_export),
            conversation(lambda: Wire(day), SkippedTime()),
            patch.object(agir_cvtoolkit.config, "load_settings", lambda *_: call.settings),
        ):
            if begun is not None:
                begun.send_bytes(b"begun")
            main(list(call.words), prog_name="agir-cvtoolkit")


def die(call: Doomed) -> int:
    """Run a call that kills itself; its exit code, negative for a signal."""
    process = forkserver().Process(target=run_doomed, args=(call,))
    process.start()
    process.join(300)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"{call} does not end")
    return int(process.exitcode)


def kill_after(call: Doomed, seconds: float) -> tuple[int, float]:
    """Kill a call some seconds after it began; its exit code, and how long it lived."""
    context = forkserver()
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=run_doomed, args=(call, there))
    process.start()
    there.close()
    try:
        here.recv_bytes()
        start = time.perf_counter()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
        process.join(300)
        assert process.exitcode is not None, f"{call} does not end"
        return process.exitcode, time.perf_counter() - start
    finally:
        here.close()
