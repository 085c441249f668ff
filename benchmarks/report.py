"""How long a report of a large workspace takes, how large it is, and how quickly the dashboard answers."""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ._finished_workspace import make_workspace
from ._table import Row, finish, parser, seconds

TITLE = "Report and dashboard"
MOST_S, MOST_MB, MOST_ANSWER_S = 30.0, 20.0, 1.0
_PAGES = (
    ("overview", "/"),
    ("pictures, first page", "/pictures"),
    ("pictures, filtered, last page", "/pictures?outcome=edited&label=barley&order=agreement&page=999999"),
)


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure both on a made-up workspace."""
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.report import report

    with tempfile.TemporaryDirectory() as name:
        folder = options.workspace or Path(name)
        if not (folder / "conf").is_dir():
            make_workspace(folder, options.records)
        call = Call(config=str(folder / "conf"))
        call.settings()
        begun = time.monotonic()
        made = report(folder / "report.html", call=call)
        took = time.monotonic() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        records = f"{made.records:,} records"
        rows = [
            Row(f"report, {records}", "", seconds(took), "", f"<= {MOST_S:.0f} s", took <= MOST_S),
            Row(
                "its size",
                "",
                f"{made.size / 1e6:.1f} MB",
                "",
                f"<= {MOST_MB:.0f} MB",
                made.size / 1e6 <= MOST_MB,
            ),
            Row("peak memory of the process", "", f"{peak:.0f} MB"),
        ]
        return [*rows, *_dashboard(call)]


def _dashboard(call: object) -> list[Row]:
    from starlette.testclient import TestClient

    from agir_cvtoolkit.serving.dashboard import dashboard_app
    from agir_cvtoolkit.stages.dashboard import open_dashboard

    rows = []
    source = open_dashboard(call=call)  # type: ignore[arg-type]
    with TestClient(dashboard_app(source), base_url="http://127.0.0.1") as client:
        for title, address in _PAGES:
            client.get(address)
            begun = time.monotonic()
            answer = client.get(address)
            took = time.monotonic() - begun
            held = answer.status_code == 200 and took <= MOST_ANSWER_S
            rows.append(Row(f"dashboard, {title}", "", seconds(took), "", f"<= {MOST_ANSWER_S:.0f} s", held))
    return rows


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument("--records", type=int, default=100_000, help="of the made-up workspace")
    made.add_argument("--workspace", type=Path, help="keep the made-up workspace here, or use it again")
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
