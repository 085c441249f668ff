"""A port of the loopback interface for a program that a test starts."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

_LOWEST = 10_000
_FEWEST = 1_000
_GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a port that nobody listens on.

    The program that gets it binds it later. Until then nobody takes it whom the system gives any free port, which is
    every connection that is opened; other tests choose one of thousands.
    """
    choice = _first_given() - _LOWEST
    for _ in range(1000):
        port = _LOWEST + secrets.randbelow(choice) if choice >= _FEWEST else 0
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("no port is free")


def _first_given() -> int:
    """Return the first of the ports that the system gives by itself."""
    try:
        return int(_GIVEN.read_text(encoding="ascii").split()[0])
    except OSError:  # not Linux
        return 49_152
