"""What a sandbox is started with."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from agir_cvtoolkit.errors import ConfigError

from .faults import Fault
from .generation import Generation, full_version, generation_of
from .work import SimulatedWork


@dataclass(frozen=True)
class SandboxOptions:
    """Options of the embedded server.

    Attributes:
        root: folder of the state; made when it is missing, continued when it is there.
        host: a loopback address; anything else is refused.
        port: 0 takes a free one.
        username, password: the account that always exists; its password is set anew at every start.
        access_token: a personal access token of `username` that ``Authorization: Bearer`` accepts; versions
            before 2.48 know none and answer 401 whatever is sent.
        version: which CVAT to play, from 2.20 on; ``GET /api/server/about`` reports it (see `generation`).
        simulated_work: what a real server's work would take; a number is seconds for each task that is made.
        faults: rules that break chosen requests; those of ``<root>/faults.json`` come after them.
        users: more accounts, as (username, password); all may do everything.
        anonymous_limit: logins per minute before the server throttles.
        creation_memory: seconds after its end for which the creation of a task is remembered as a request;
            0 forgets it at once.
        share: the folder that is mounted at the server as its share; None for none.
        event_log: keeps a log of what pages report, as a server with ClickHouse does; else it answers that it has none.
        buckets: the folders that play buckets, by name; they can be registered as cloud storages.
    """

    root: Path
    host: str = "127.0.0.1"
    port: int = 0
    username: str = "admin"
    password: str = field(default="admin123", repr=False)
    access_token: str | None = field(default=None, repr=False)
    version: str = "2.42.0"
    simulated_work: float | SimulatedWork = 0.0
    faults: tuple[Fault, ...] = ()
    users: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    anonymous_limit: int = 100
    creation_memory: float = 500.0
    share: Path | None = None
    event_log: bool = True
    buckets: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Refuse what would leave this machine, and versions that cannot be played.

        Raises:
            ConfigError: the host is not a loopback address, or the version is none or older than 2.20.
        """
        object.__setattr__(self, "version", full_version(self.version))
        generation_of(self.version)
        if not is_loopback(self.host):
            raise ConfigError(
                f"sandbox host '{self.host}' is not a loopback address", "Use 127.0.0.1, ::1 or localhost."
            )

    @property
    def work(self) -> SimulatedWork:
        """The simulated work in full."""
        given = self.simulated_work
        return given if isinstance(given, SimulatedWork) else SimulatedWork(creation=given)

    @property
    def generation(self) -> Generation:
        """What the played version can do."""
        return generation_of(self.version)


def is_loopback(host: str) -> bool:
    """Whether a server bound to `host` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
