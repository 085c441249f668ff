"""The secret that CVAT signs webhooks with: from the environment, else from a file beside the keys."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from agir_cvtoolkit.errors import ConfigError

VARIABLE = "CVAT_WEBHOOK_SECRET"
_FILE = "webhook_secret"
_LONGEST = 64
"""CVAT takes no longer one."""


def load_webhook_secret(keys_file: Path, environment: Mapping[str, str] | None = None) -> str:
    """Read the secret.

    Args:
        keys_file: of the credentials; the secret lies in ``webhook_secret`` beside it.
        environment: of the process when None.

    Raises:
        ConfigError: there is none, or one that CVAT would not take.
    """
    found = _known(keys_file, os.environ if environment is None else environment)
    if found is None:
        raise ConfigError(
            "no secret for webhooks is known here",
            f"Add a webhook with: agir-cvtoolkit webhook add URL. Or set {VARIABLE} to the secret of yours.",
        )
    return found


def made_webhook_secret(keys_file: Path, environment: Mapping[str, str] | None = None) -> str:
    """Read the secret, or make one that only its owner can read.

    Raises:
        ConfigError: the one that there is cannot be used, or none can be written.
    """
    found = _known(keys_file, os.environ if environment is None else environment)
    if found is not None:
        return found
    path = keys_file.parent / _FILE
    secret = secrets.token_hex(_LONGEST // 2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="ascii", opener=_private) as stream:
            stream.write(secret + "\n")
    except FileExistsError:
        return load_webhook_secret(keys_file, environment)  # another process was quicker
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror or error}", f"Set {VARIABLE} to a secret of your own."
        ) from error
    return secret


def _known(keys_file: Path, environment: Mapping[str, str]) -> str | None:
    path = keys_file.parent / _FILE
    origin, found = VARIABLE, environment.get(VARIABLE, "").strip()
    if not found and path.is_file():
        origin, found = str(path), path.read_text(encoding="utf-8", errors="replace").strip()
    if not found:
        return None
    if len(found) > _LONGEST or not found.isascii() or not found.isprintable():
        raise ConfigError(
            f"the webhook secret of {origin} is no plain text of at most {_LONGEST} characters",
            f"Remove it, and let this make one: agir-cvtoolkit webhook add URL. Or set {VARIABLE}.",
        )
    return found


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
