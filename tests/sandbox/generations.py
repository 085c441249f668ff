"""One running sandbox for each generation, shared by all tests of a session."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions

from .plain import Plain

TOKEN = "pat-123"

VERSION = os.environ.get("AGIR_SANDBOX_VERSION", "2.42.0")
"""What the sandbox plays in the tests of the client and of the whole loop."""


class Generations:
    """Starts a sandbox of a version when it is first asked for, and stops all at the end."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stack = ExitStack()
        self._known: dict[str, Sandbox] = {}

    def sandbox(self, version: str) -> Sandbox:
        if version not in self._known:
            options = SandboxOptions(
                self._root / version, version=version, access_token=TOKEN, anonymous_limit=1_000_000
            )
            self._known[version] = self._stack.enter_context(Sandbox(options))
        return self._known[version]

    def plain(self, version: str) -> Plain:
        client = Plain(self.sandbox(version).url)
        client.log_in()
        return client

    def close(self) -> None:
        self._stack.close()
