"""The fault mode: chosen requests are delayed, refused or cut, to test clients against bad days.

Rules come from ``SandboxOptions.faults``, from ``<root>/faults.json`` (a JSON list of objects with the fields of
`Fault`), from ``Sandbox.add_fault``, or while the server runs through ``/sandbox/faults``. A few days as rules::

    [{"path": "/api/tasks$", "method": "POST", "action": "cut_after"},
     {"path": "/data/", "method": "POST", "nth": 2, "action": "cut_within_request"},
     {"path": "/api/requests/", "action": "forget", "times": 0},
     {"path": "/annotations", "status": 429, "body": "json", "retry_after": 7, "times": 2},
     {"path": "/api/jobs", "status": 200, "body": "html"},
     {"path": "/annotations", "method": "PATCH", "action": "status_after", "status": 504},
     {"path": "/api/labels", "action": "dribble", "delay": 2.0},
     {"path": "/api/projects", "action": "refuse", "delay": 5.0}]
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from agir_cvtoolkit.errors import ConfigError, did_you_mean

Action = Literal[
    "status",
    "status_after",
    "forget",
    "cut_before",
    "cut_within_request",
    "cut_after",
    "cut_within",
    "refuse",
    "delay",
    "dribble",
]


@dataclass(frozen=True)
class Fault:
    """One rule.

    Attributes:
        path: regular expression, searched in the path with its query.
        action: what happens to the request.

            ``status`` answers `status` and does nothing; ``status_after`` does the work and then answers
            `status`, as a proxy does that lost its patience; ``forget`` answers that a background request is
            not known, as the server does of those that ended long ago.

            ``cut_before`` closes the connection before the work, ``cut_within_request`` resets it when half
            of the request's body has come (of its files none stays), ``cut_after`` closes it
            after the work (the effect happens, the answer is lost), ``cut_within`` within the answer.

            ``refuse`` cuts this and all other connections and takes no new ones for `delay` seconds; with 0
            until `Sandbox.accept` is called.

            ``delay`` answers rightly, `delay` seconds late; ``dribble`` answers rightly, in eight pieces over
            `delay` seconds.
        method: an HTTP method, or ``*``.
        nth: the first matching request that is hit, counted from 1.
        times: how many matching requests are hit from there on; 0 means all.
        status: of the answer; any, 200 with ``html`` is a proxy's or a login page.
        body: ``json`` or ``html``.
        retry_after: seconds, sent as a header.
        delay: seconds to wait before the action; of ``refuse`` and ``dribble`` how long they last.
    """

    path: str
    action: Action = "status"
    method: str = "*"
    nth: int = 1
    times: int = 1
    status: int = 500
    body: Literal["json", "html"] = "html"
    retry_after: int | None = None
    delay: float = 0.0

    def __post_init__(self) -> None:
        """Check the rule.

        Raises:
            ConfigError: the path is no regular expression, or the action or body is unknown.
        """
        try:
            re.compile(self.path)
        except re.error as error:
            raise ConfigError(f"fault path '{self.path}' is no regular expression: {error}") from error
        if self.action not in get_args(Action):
            raise ConfigError(
                f"unknown fault action '{self.action}'", did_you_mean(self.action, get_args(Action))
            )
        if self.body not in {"json", "html"}:
            raise ConfigError(f"unknown fault body '{self.body}'", "Use json or html.")

    def matches(self, method: str, target: str) -> bool:
        """Whether a request is one that the rule counts."""
        return self.method in {"*", method} and re.search(self.path, target) is not None

    def hits(self, count: int) -> bool:
        """Whether the `count`-th matching request, counted from 1, is hit."""
        return count >= self.nth and (self.times == 0 or count < self.nth + self.times)


def fault_from_json(data: object) -> Fault:
    """Read one rule.

    Raises:
        ConfigError: no object, an unknown key, or a wrong value.
    """
    if not isinstance(data, Mapping):
        raise ConfigError("a fault is a JSON object", 'Write {"path": "...", "action": "..."}.')
    known = [f.name for f in fields(Fault)]
    for key in data:
        if key not in known:
            raise ConfigError(f"unknown key '{key}' in a fault", did_you_mean(str(key), known))
    try:
        return Fault(**{str(key): value for key, value in data.items()})
    except TypeError as error:
        raise ConfigError(f"a fault cannot be read: {error}") from error


def load_faults(path: Path) -> tuple[Fault, ...]:
    """Read a JSON list of rules; a missing file holds none.

    Raises:
        ConfigError: the file is no JSON list, or a rule is wrong.
    """
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise ConfigError(f"fault file {path} cannot be read: {error}") from error
    if not isinstance(content, list):
        raise ConfigError(f"fault file {path} holds no JSON list")
    return tuple(fault_from_json(item) for item in content)


class FaultPlan:
    """The rules in force and how often each has matched."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._rules: list[tuple[Fault, list[int]]] = [(fault, [0]) for fault in faults]

    def replace(self, faults: Iterable[Fault]) -> None:
        """Put other rules in force; counting starts anew."""
        with self._lock:
            self._rules = [(fault, [0]) for fault in faults]

    def add(self, fault: Fault) -> None:
        """Put one more rule in force."""
        with self._lock:
            self._rules.append((fault, [0]))

    def hit(self, method: str, target: str) -> Fault | None:
        """Count a request and return the first rule that hits it."""
        found: Fault | None = None
        with self._lock:
            for fault, count in self._rules:
                if fault.matches(method, target):
                    count[0] += 1
                    if found is None and fault.hits(count[0]):
                        found = fault
        return found

    def describe(self) -> list[dict[str, Any]]:
        """Return the rules with their counts, for the control endpoint."""
        with self._lock:
            return [asdict(fault) | {"matched": count[0]} for fault, count in self._rules]
