"""The workspace that a demonstration leaves: its ``conf/``, its keys, its folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.runs import discard, write_text

ACCOUNT = ("admin", "admin123")
"""Of the sandbox."""
_MARKER = ".agir-{command}"


def clear(folder: Path, command: str) -> None:
    """Make an empty folder in place of an earlier demonstration of the same command.

    Raises:
        UsageError: it holds something else.
    """
    marker = folder / _MARKER.format(command=command)
    if folder.exists() and any(folder.iterdir()) and not marker.is_file():
        raise UsageError(
            f"{folder} holds something that is no demonstration", "Give another folder with --out."
        )
    discard(folder)
    write_text(marker, f"made by: agir-cvtoolkit {command}\n")


def configure(folder: Path, url: str, groups: Mapping[str, Mapping[str, object]]) -> None:
    """Write the workspace's ``conf/`` and keys, so that every command works in it afterwards.

    Args:
        folder: the workspace, absolute.
        url: of the sandbox.
        groups: further settings by group; runs and keys are in the folder whatever they say.
    """
    keys = folder / ".keys" / "default.yaml"
    places = {"out_root": str(folder / "outputs" / "runs"), "keys_file": str(keys)}
    content = {**groups, "io": {**groups.get("io", {}), **places}}
    for group, values in content.items():
        write_text(folder / "conf" / group / "default.yaml", yaml.safe_dump(dict(values), sort_keys=False))
    keys.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_text(keys, yaml.safe_dump({"cvat": {"url": url, "username": ACCOUNT[0], "password": ACCOUNT[1]}}))
    keys.chmod(0o600)
