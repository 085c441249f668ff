"""Processes that begin at once, from a server which has imported everything and has no threads.

A process that is forked from a test's own has copies of the locks that other threads held, and may wait for ever.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from unittest.mock import patch

_ROOT = Path(__file__).parents[1]
_IMPORTED = ["tests.faults.client"]


def forkserver() -> ForkServerContext:
    """Return the context in which such processes are made."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    known = filter(None, (str(_ROOT), os.environ.get("PYTHONPATH")))
    with patch.dict(
        os.environ, {"PYTHONPATH": os.pathsep.join(known)}
    ):  # it does not look where this one does
        ensure_running()
    return context
