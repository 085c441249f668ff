"""What a sandbox is started with."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from agir_cvtoolkit.errors import ConfigError

from .faults import Fault


@dataclass(frozen=True)
class SandboxOptions:
    """Options of the embedded server.

    Attributes:
        root: folder of the state; made when it is missing, continued when it is there.
        host: a loopback address; anything else is refused.
        port: 0 takes a free one.
        username, password: the account that always exists; its password is set anew at every start.
        access_token: a personal access token that ``Authorization: Bearer`` accepts; None answers 401 as
            servers before 2.48 do.
        version: what ``GET /api/server/about`` reports.
        simulated_work: seconds of server work that the creation of a task costs beside the real ones.
        faults: rules that break chosen requests; those of ``<root>/faults.json`` come after them.
        users: more accounts, as (username, password); all may do everything.
        anonymous_limit: logins per minute before the server throttles.
    """

    root: Path
    host: str = "127.0.0.1"
    port: int = 0
    username: str = "admin"
    password: str = field(default="admin123", repr=False)
    access_token: str | None = field(default=None, repr=False)
    version: str = "2.42.0"
    simulated_work: float = 0.0
    faults: tuple[Fault, ...] = ()
    users: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    anonymous_limit: int = 100

    def __post_init__(self) -> None:
        """Refuse what would leave this machine.

        Raises:
            ConfigError: the host is not a loopback address.
        """
        if not is_loopback(self.host):
            raise ConfigError(
                f"sandbox host '{self.host}' is not a loopback address", "Use 127.0.0.1, ::1 or localhost."
            )


def is_loopback(host: str) -> bool:
    """Whether a server bound to `host` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
