"""Transferred pictures on their way to another machine, by rsync over SSH."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agir_cvtoolkit.errors import DataError, RemoteError, UsageError

from ._transfer_manifest import MANIFEST, merge_entries, read_transfer_manifest

_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=15"
_PATIENCE_S = 3600.0
_NO_SUCH_FILE = 23


def check_rsync() -> None:
    """Make sure that pictures can be delivered.

    Raises:
        UsageError: rsync is not installed.
    """
    if shutil.which("rsync") is None:
        raise UsageError(
            "firebase.deliver=rsync needs rsync, which is not on PATH",
            "Install it here and on the other machine (apt install rsync), or leave --deliver out.",
        )


def deliver(folder: Path, names: Sequence[str], host: str) -> None:
    """Send pictures of a folder and its manifest to the folder of the same name on a host.

    What the manifest there says of other pictures stays. A repeated call sends what has changed.

    Raises:
        RemoteError: rsync fails.
        DataError: the manifest there is none.
    """
    remote = f"{host}:{folder}/"
    with tempfile.TemporaryDirectory(prefix="agir-") as temporary:
        theirs = Path(temporary)
        # A missing file is no failure here: the first delivery finds none.
        done = _rsync([f"{remote}{MANIFEST}", f"{theirs}/"])
        if done.returncode not in {0, _NO_SUCH_FILE}:
            raise _failure(host, done)
        try:
            known = read_transfer_manifest(theirs / MANIFEST)
        except DataError as error:
            raise DataError(
                f"{host}:{folder / MANIFEST} is no transfer manifest", "Mend it or move it away there."
            ) from error
        own = read_transfer_manifest(folder / MANIFEST)
        (theirs / MANIFEST).unlink(missing_ok=True)
        merge_entries(theirs, (known | own).values())
        listed = theirs / "names"
        listed.write_bytes(b"\0".join(name.encode("utf-8", "surrogateescape") for name in sorted(names)))
        for words in (
            ["--from0", f"--files-from={listed}", f"{folder}/", remote],
            [str(theirs / MANIFEST), remote],
        ):
            done = _rsync(words)
            if done.returncode:
                raise _failure(host, done)


def _rsync(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = ["rsync", "--times", "--partial", "--protect-args", "--timeout=60", "-e", _SSH, *words]
    try:
        return subprocess.run(  # noqa: S603 - a list of words, and the host was checked
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_PATIENCE_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RemoteError(f"rsync could not be run: {error}", "Run the same command again.") from error


def _failure(host: str, done: subprocess.CompletedProcess[str]) -> RemoteError:
    said = done.stderr.strip().splitlines()
    return RemoteError(
        f"rsync to {host} failed with code {done.returncode}: {said[-1] if said else 'no reason given'}",
        f"Try 'ssh {host}' by hand, then run the same command again: what was transferred is kept.",
    )
