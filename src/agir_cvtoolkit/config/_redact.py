"""Secrets are replaced before a text is shown or stored."""

from __future__ import annotations

import re

_IN_URL = re.compile(r"""(?P<scheme>[a-zA-Z][\w+.-]*://)(?P<user>[^\s:/@"']*):(?P<secret>[^\s"']+)@""")
_NAMED = re.compile(
    r"""(?ix)(?P<name>\b[\w.-]*(?:password|passwd|secret|access_token|api_key|token)[\w-]*["']?\s*[=:]\s*)
    (?P<secret>"[^"]*" | '[^']*' | [^\s,;}"']+)"""
)
_AUTHORIZATION = re.compile(
    r"""(?i)(?P<name>\bauthorization["']?\s*[=:]\s*["']?)(?:(?:bearer|token|basic)\s+)?[^\s,;}"']+"""
)


def redacted(text: str) -> str:
    """Return a text with passwords in URLs and values named as secrets replaced by ``***``."""
    text = _IN_URL.sub(r"\g<scheme>\g<user>:***@", text)
    text = _AUTHORIZATION.sub(r"\g<name>***", text)
    return _NAMED.sub(r"\g<name>***", text)
