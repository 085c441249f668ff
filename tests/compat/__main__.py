"""Run the flow by each official SDK against sandboxes of several generations, and print a table.

``python -m tests.compat 2.42=VENV/bin/python 2.80=VENV/bin/python``: the interpreters that have the SDK.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions

SERVERS = {"2.42": ("2.42.0", "2.80.0"), "2.80": ("2.42.0", "2.80.0")}
"""Servers that each SDK is tried against: its own generation and the other's."""

KNOWN: dict[tuple[str, str, str], str] = {}
"""Steps that cannot pass by (SDK, server, step), with the reason: what the official client itself cannot do."""

FLOW = Path(__file__).with_name("flow.py")
USERNAME, PASSWORD = "admin", "admin123"


@dataclass(frozen=True)
class Column:
    """One SDK against one server: what became of each step."""

    sdk: str
    server: str
    steps: dict[str, str]
    errors: str

    @property
    def failed(self) -> list[str]:
        """The steps that should have passed."""
        wrong = []
        for name, said in self.steps.items():
            known = (self.sdk, self.server, name) in KNOWN
            if (said != "ok") != known:
                wrong.append(name)
        return wrong


def run(sdk: str, interpreter: str, server: str) -> Column:
    """Run the flow once."""
    with tempfile.TemporaryDirectory() as folder:
        options = SandboxOptions(Path(folder), version=server, username=USERNAME, password=PASSWORD)
        with Sandbox(options) as sandbox:
            command = [interpreter, str(FLOW), sandbox.url, USERNAME, PASSWORD]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    steps = {line["step"]: "ok" if line["ok"] else line["said"] for line in lines}
    if not steps:
        steps = {"start": done.stderr[-600:] or "the flow printed nothing"}
    return Column(sdk, server, steps, done.stderr)


def main(arguments: Sequence[str]) -> int:
    """Run all pairs, print the table, and return 1 when a step failed."""
    if not arguments:
        print(__doc__)
        return 2
    columns = []
    for argument in arguments:
        sdk, _, interpreter = argument.partition("=")
        for server in SERVERS[sdk]:
            print(f"SDK and cvat-cli {sdk} against server {server} ...", file=sys.stderr, flush=True)
            columns.append(run(sdk, interpreter, server))
    names = list(dict.fromkeys(name for column in columns for name in column.steps))
    width = max(len(name) for name in names)
    print("SDK".ljust(width), *(column.sdk.ljust(7) for column in columns))
    print("server".ljust(width), *(column.server.ljust(7) for column in columns))
    for name in names:
        cells = []
        for column in columns:
            said = column.steps.get(name, "not run")
            known = (column.sdk, column.server, name) in KNOWN
            cells.append(("ok" if said == "ok" else "known" if known else "FAIL").ljust(7))
        print(name.ljust(width), *cells)
    wrong = [(column, name) for column in columns for name in column.failed]
    for column, name in wrong:
        said = column.steps[name]
        why = said if said != "ok" else "passes although it is listed as impossible"
        print(f"\nSDK {column.sdk} against {column.server}, {name}: {why}")
    for (sdk, server, name), why in KNOWN.items():
        print(f"\nknown: SDK {sdk} against {server}, {name}: {why}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
