"""Names of pictures on a server."""

from __future__ import annotations

import hashlib
import html


def upload_name(stem: str, suffix: str) -> str:
    """Return the file name under which a record's picture is sent.

    The server resolves HTML entities in file names (``a&lt.jpg`` would arrive as ``a<.jpg``) and drops
    characters that cannot be printed, among them no-break spaces, soft hyphens and zero-width ones. Such
    names, and those with spaces at the ends, are changed and get eight hex digits of their SHA-256, so that
    two never meet.

    Args:
        stem: the record's `file_stem`.
        suffix: with its dot.
    """
    name = f"{stem}{suffix}"
    if html.unescape(name) == name and name.strip() == name and name.isprintable():
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    kept = "".join(char if char.isprintable() and char != "&" else "_" for char in stem)
    return f"{kept.strip()}-{digest}{suffix}"
