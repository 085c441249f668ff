"""A published model's files on their way back."""

from __future__ import annotations

import hashlib
from pathlib import Path

from agir_cvtoolkit.captures import PublishedModel
from agir_cvtoolkit.errors import DataError, NotFoundError
from agir_cvtoolkit.runs import write_bytes

LARGEST_MODEL = 2 * 2**30
"""Bytes of a model's file, at most."""


def fetched_key(model: PublishedModel, kind: str) -> str:
    """Return the key of a model's file in the storage.

    Raises:
        NotFoundError: it has no such file.
    """
    key = model.files.get(kind)
    if not key:
        raise NotFoundError(f"model {model.version} was published without {kind}", "Publish the model again.")
    return key


def write_fetched(model: PublishedModel, kind: str, content: bytes, to: Path) -> None:
    """Write a fetched file, whole or not at all.

    Raises:
        DataError: it is not what was published.
    """
    published = model.sha256.get(kind)
    if published and hashlib.sha256(content).hexdigest() != published:
        raise DataError(
            f"file {kind} of model {model.version} is not what was published", "Publish the model again."
        )
    write_bytes(to, content)
