"""The command that brings a push to its end."""

from __future__ import annotations

import re
import shlex

from ._push_rows import PushKey

_PLAIN = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)


def upload_again(
    key: PushKey, run_id: str | None = None, *, project_id: int | None = None, name: str | None = None
) -> str:
    """Return the ``upload-cvat`` that goes on with a push, ready for a shell.

    Args:
        key: of the push.
        run_id: named where it need not be the current run.
        project_id: the configured one, which need not be said again.
        name: that it gets by itself, which need not be said.
    """
    words = ["agir-cvtoolkit", "upload-cvat"]
    if run_id is not None:
        words += ["--run", run_id]
    if key.project_id != project_id:
        words += ["-o", f"cvat_upload.project_id={'null' if key.project_id is None else key.project_id}"]
    if key.organization is not None and key.project_id is None:
        words += ["-o", f"cvat_upload.organization_slug={_value(key.organization)}"]
    if key.kind != "segmentations":
        words += ["-o", f"cvat_upload.source.type={key.kind}"]
    if key.name != name:
        words += ["-o", f"cvat_upload.task_name={_value(key.name)}"]
    return " ".join(map(shlex.quote, words))


def _value(text: str) -> str:
    """Return a text as an override holds it: numbers, null and whatever has signs in it stay text in quotes."""
    if _PLAIN.fullmatch(text) and text.casefold() not in {"null", "true", "false", "nan", "inf"}:
        return text
    return '"' + re.sub(r'(\\*)(")', r"\1\1\\\2", re.sub(r"(\\+)$", r"\1\1", text)) + '"'
