"""A person in the demonstration: waited for until the last job is completed, and told how to go on after Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agir_cvtoolkit.demo.person import PersonLeftError, wait_for_person
from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions
from tests.sandbox.plain import Plain, pictures

pytestmark = pytest.mark.integration


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Plain]:
    with Sandbox(SandboxOptions(tmp_path / "sandbox")) as sandbox:
        client = Plain(sandbox.url)
        client.log_in()
        yield client
        client.close()


def test_it_goes_on_when_the_last_job_is_completed(plain: Plain, tmp_path: Path) -> None:
    task = plain.task(pictures(2), spec={"segment_size": 1})
    numbers = [job["id"] for job in plain("GET", f"/api/jobs?task_id={task['id']}").json["results"]]
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        if "your turn" not in line and numbers:
            plain("PATCH", f"/api/jobs/{numbers.pop()}", {"state": "completed"})

    wait_for_person(plain.url, [task["id"]], tmp_path, tell, every=0.01)
    assert not numbers
    assert plain.url in lines[0]
    assert lines[-2:] == ["1 of 2 jobs completed", "2 of 2 jobs completed"]


def test_after_an_interruption_it_says_how_to_go_on(plain: Plain, tmp_path: Path) -> None:
    task = plain.task(pictures(1))
    number = plain("GET", f"/api/jobs?task_id={task['id']}").json["results"][0]["id"]
    plain("PATCH", f"/api/jobs/{number}", {"state": "completed"})

    def tell(line: str) -> None:
        if "jobs completed" in line:
            raise KeyboardInterrupt

    with pytest.raises(PersonLeftError) as left:
        wait_for_person(plain.url, [task["id"]], tmp_path, tell)
    port = plain.url.rpartition(":")[2]
    assert f"sandbox --root {tmp_path / 'sandbox'} --port {port}" in str(left.value)
    assert f"download-cvat --config {tmp_path / 'conf'}" in str(left.value)
