"""Credentials for CVAT: from the environment, else from the keys file; never part of the settings."""

from __future__ import annotations

import logging
import os
import ssl
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from agir_cvtoolkit.credentials import Credentials
from agir_cvtoolkit.errors import ConfigError, did_you_mean

from ._redact import redacted

_log = logging.getLogger(__name__)
_KEYS = ("url", "host", "username", "password", "access_token", "ca_file", "organization_slug")
_VARIABLES = {
    "url": ("CVAT_URL", "CVAT_HOST"),
    "access_token": ("CVAT_ACCESS_TOKEN",),
    "username": ("CVAT_USERNAME",),
    "password": ("CVAT_PASSWORD",),
    "ca_file": ("CVAT_CA_FILE",),
}
_ABSENT = {"", "~", "null", "Null", "NULL"}


def load_credentials(keys_file: Path, environment: Mapping[str, str] | None = None) -> Credentials:
    """Read credentials; a value from the environment wins over the keys file.

    ``CVAT_URL`` (or ``CVAT_HOST``), ``CVAT_ACCESS_TOKEN``, ``CVAT_USERNAME``, ``CVAT_PASSWORD`` and
    ``CVAT_CA_FILE`` are read. When the environment holds any secret, none is taken from the file.

    Args:
        keys_file: YAML with ``cvat.{url|host, username, password | access_token, ca_file}``; may be missing.
        environment: of the process when None.

    Raises:
        ConfigError: no URL or no secret anywhere, a keys file that cannot be understood, or a file of
            certificates that holds none.
    """
    env = os.environ if environment is None else environment
    found = _from_file(keys_file)
    url = env.get("CVAT_URL") or env.get("CVAT_HOST") or found.get("url") or found.get("host")
    token, password = env.get("CVAT_ACCESS_TOKEN"), env.get("CVAT_PASSWORD")
    username = env.get("CVAT_USERNAME") or found.get("username")
    origin = "the environment"
    if not token and not password:
        token, password = found.get("access_token"), found.get("password")
        origin = str(keys_file)
    next_step = f"{_how_to_write(keys_file)} Or set CVAT_URL and CVAT_ACCESS_TOKEN."
    if not url:
        raise ConfigError("no CVAT server is configured", next_step)
    if not token and not (username and password):
        raise ConfigError(f"no credentials for {url}", next_step)
    secret = {"access_token": token} if token else {"username": username, "password": password}
    ca_file = _certificates(env.get("CVAT_CA_FILE") or found.get("ca_file"))
    return Credentials(Credentials(url).base_url, **secret, origin=origin, ca_file=ca_file)


def describe_credentials(
    keys_file: Path, environment: Mapping[str, str] | None = None
) -> list[tuple[str, str, str]]:
    """Return key, value (secrets as ``***``) and origin of what is known of the credentials."""
    env = os.environ if environment is None else environment
    found = _from_file(keys_file)
    rows = []
    for key, names in _VARIABLES.items():
        name = next((n for n in names if env.get(n)), None)
        value = env[name] if name else found.get(key) or (found.get("host") if key == "url" else None)
        origin = f"environment {name}" if name else str(keys_file)
        if value:
            rows.append(
                (f"cvat.{key}", "***" if key in {"password", "access_token"} else redacted(value), origin)
            )
    return rows


def _certificates(name: str | None) -> Path | None:
    if not name:
        return None
    path = Path(name).expanduser()
    next_step = (
        "Set cvat.ca_file (or CVAT_CA_FILE) to a PEM file with the certificate of the authority that signed the "
        "server's, or remove it."
    )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise ConfigError(f"{path} holds no certificate in PEM format", next_step) from error
    except OSError as error:
        raise ConfigError(
            f"the certificates in {path} cannot be read: {error.strerror or error}", next_step
        ) from error
    return path.absolute()


def _from_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    _warn_if_shared(path)
    try:
        # Every value as it is written: a password 0123 is no octal number, and yes is no truth.
        content: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - texts only
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        # The message of the parser quotes the line, which may hold the password.
        raise ConfigError(
            f"{path} is not readable YAML ({type(error).__name__})", _how_to_write(path)
        ) from None
    section = content.get("cvat") if isinstance(content, dict) else None
    if not isinstance(section, dict):
        raise ConfigError(f"{path} has no section 'cvat'", _how_to_write(path))
    for key in section:
        if key not in _KEYS:
            raise ConfigError(f"{path}: unknown key 'cvat.{key}'", did_you_mean(str(key), _KEYS))
    if any(not isinstance(value, str) for value in section.values()):
        raise ConfigError(f"{path}: every value under 'cvat' must be a text", _how_to_write(path))
    return {key: value for key, value in section.items() if value not in _ABSENT}


def _how_to_write(path: Path) -> str:
    # No word here is followed by a colon that names a secret: it would be redacted with what comes after it.
    return f"Write url (https://app.cvat.ai), username and password, each on its own line, under 'cvat:' in {path}."


def _warn_if_shared(path: Path) -> None:
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        _log.warning("%s can be read by others; protect it with: chmod 600 %s", path, path)
