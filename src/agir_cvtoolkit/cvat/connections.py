"""Connections that are given up when they stall, and that another thread can cut."""

from __future__ import annotations

import socket
from collections.abc import Collection
from contextlib import suppress
from threading import Lock, get_ident
from typing import Any
from weakref import WeakSet

import urllib3

STALL_SECONDS = 120.0
"""Longest time in which not a single piece of a body goes out."""


class _Patient(urllib3.connection.HTTPConnection):
    """A connection that is given up when it stalls, not when its sending takes long.

    While a body is sent, urllib3 lets the time limit for connecting hold for every piece, from its first to
    its last byte.
    """

    user = 0
    """The thread that sent the last request."""

    def connect(self) -> None:
        super().connect()
        with _LOCK:
            _OPEN.add(self)

    def send(self, data: Any) -> None:
        self.user = get_ident()
        if self.sock is None and self.auto_open:
            self.connect()
        if self.sock is not None:
            self.sock.settimeout(STALL_SECONDS)
        super().send(data)


class _PatientTls(_Patient, urllib3.connection.HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Patient


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _PatientTls


_OPEN: WeakSet[_Patient] = WeakSet()
_LOCK = Lock()

POOLS = {"http": _Pool, "https": _TlsPool}


def cut(threads: Collection[int]) -> None:
    """End the connections that these threads use: whoever waits for an answer there gets none."""
    with _LOCK:
        connections = list(_OPEN)
    for connection in connections:
        if connection.user in threads and isinstance(connection.sock, socket.socket):
            with suppress(OSError):
                # Not the method of an encrypted socket, which would take its state away from the one who reads.
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
