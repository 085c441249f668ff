"""The workspace that the demonstration of the device loop leaves: its ``conf/``, its keys, its folders."""

from __future__ import annotations

from pathlib import Path

import yaml

from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.runs import discard, write_text

ACCOUNT = ("admin", "admin123")
"""Of the sandbox."""
_MARKER = ".agir-demo-pose"
_SENT_BELOW = 1.0


def clear(folder: Path) -> None:
    """Make an empty folder in place of an earlier demonstration.

    Raises:
        UsageError: it holds something else.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARKER).is_file():
        raise UsageError(
            f"{folder} holds something that is no demonstration", "Give another folder with --out."
        )
    discard(folder)
    write_text(folder / _MARKER, "made by: agir-cvtoolkit demo-pose\n")


def configure(folder: Path, url: str, joints: str, threshold: int, seed: int, steps: int | None) -> None:
    """Write the workspace's ``conf/`` and keys, so that every command works in it afterwards."""
    training: dict[str, object] = {"seed": seed} if steps is None else {"seed": seed, "steps": steps}
    content: dict[str, dict[str, object]] = {
        "io": {
            "out_root": str(folder / "outputs" / "runs"),
            "keys_file": str(folder / ".keys" / "default.yaml"),
        },
        "firebase": {
            "store": "embedded",
            "embedded_dir": str(folder / "outputs" / "firebase"),
            "output_dir": str(folder / "cvat-annotations"),
            "upload_threshold": _SENT_BELOW,
            "retraining_threshold": threshold,
            "poll_s": 1.0,
            "pose": {"joints": joints},
        },
        "pose_train": training,
    }
    for group, values in content.items():
        write_text(folder / "conf" / group / "default.yaml", yaml.safe_dump(values, sort_keys=False))
    keys = folder / ".keys" / "default.yaml"
    keys.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_text(keys, yaml.safe_dump({"cvat": {"url": url, "username": ACCOUNT[0], "password": ACCOUNT[1]}}))
    keys.chmod(0o600)
