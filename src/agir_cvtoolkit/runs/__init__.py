"""Run folders: one pass over a set of records, through which the stages find each other.

Every file is written under a temporary name and renamed, so a killed stage leaves whole files or none. The
layout is that of section "What lies in a run" of the documentation.
"""

from ._files import (
    atomic_path,
    discard,
    fingerprint,
    read_json_object,
    temporaries,
    write_bytes,
    write_json,
    write_text,
)
from ._folder import CURRENT, current_run_id, list_runs, make_current, open_run, start_run
from ._locks import try_lock, waiting_lock
from ._manifest import read_lines as read_manifest_file
from ._run import DATA_SET, Run, StagePass, git_commit

__all__ = [
    "CURRENT",
    "DATA_SET",
    "Run",
    "StagePass",
    "atomic_path",
    "current_run_id",
    "discard",
    "fingerprint",
    "git_commit",
    "list_runs",
    "make_current",
    "open_run",
    "read_json_object",
    "read_manifest_file",
    "start_run",
    "temporaries",
    "try_lock",
    "waiting_lock",
    "write_bytes",
    "write_json",
    "write_text",
]
