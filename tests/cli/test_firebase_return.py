"""``firebase return`` as it is typed: what is printed where, and the exit code."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agir_cvtoolkit.cli import main
from tests.stages.returning import TIME, Desk, dog, image, point

OPTIONS = ("-o", "firebase.store=embedded", "-o", "firebase.embedded_dir=firebase", "--output-dir", ".")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    found = Desk(tmp_path)
    found.submit("a", "b")
    return found


def _run(desk: Desk, images: Sequence[str] | str, *words: str) -> Result:
    desk.write(images)
    try:
        arguments = ["firebase", "return", "--annotations", "annotations.xml", *OPTIONS, *words]
        return CliRunner().invoke(main, arguments, prog_name="agir-cvtoolkit")
    finally:
        logging.getLogger("agir_cvtoolkit").handlers = []


def test_all_returned_is_0(desk: Desk) -> None:
    result = _run(desk, [image(0, "a.jpg", dog(10)), image(1, "b.jpg")], "--trigger-retraining")
    assert result.exit_code == 0, result.output
    assert "2 pictures: 2 known, 1 animal; 1 new, 0 changed, 0 the same" in result.stdout
    assert "1 capture completed" in result.stdout
    assert "1 picture without annotations" in result.stdout
    assert "no retraining yet: 1 correction of 10 wait" in result.stdout
    assert result.stderr == ""


def test_a_part_is_1_and_the_rest_is_listed(desk: Desk) -> None:
    images = [image(0, "a.jpg", dog(10)), image(1, "b.jpg", point("nose", 1, 1)), image(2, "c.jpg", dog(10))]
    result = _run(desk, images)
    assert result.exit_code == 1, result.output
    assert "half-annotated: b" in result.stderr
    assert "failed: c.jpg: frame 2: no capture of the store is called 'c'" in result.stderr
    assert "retraining" not in result.stdout


def test_nothing_is_4(desk: Desk) -> None:
    assert _run(desk, [image(0, "x.jpg", dog(10))]).exit_code == 4
    damaged = _run(desk, "<annotations>")
    assert damaged.exit_code == 4
    assert damaged.stderr.startswith("Error: ")
    assert "no sound XML" in damaged.stderr
    torn = _run(desk, "<annotations>\n<image name=")
    assert "unclosed token at line 2" in torn.stderr


def test_wrong_options_are_2(desk: Desk) -> None:
    images = [image(0, "a.jpg", dog(10))]
    assert _run(desk, images, "--task-id", "3").exit_code == 2
    assert _run(desk, images, "--watch").exit_code == 2
    assert _run(desk, images, "--manifest", "none.json").exit_code == 2
    assert _run(desk, images, "-o", "firebase.pose.joints=cat").exit_code == 2
    told = json.loads(_run(desk, images, "--manifest", "none.json", "--json").stdout)
    assert told["error"]["kind"] == "UsageError"
    assert desk.labeled() == {}


def test_json_holds_everything(desk: Desk) -> None:
    rehearsed = json.loads(_run(desk, [image(0, "a.jpg", dog(10))], "--json", "--dry-run").stdout)
    assert (rehearsed["new"], rehearsed["dry_run"], desk.labeled()) == (1, True, {})
    told = json.loads(_run(desk, [image(0, "a.jpg", dog(10)), image(1, "z.jpg")], "--json").stdout)
    assert (told["new"], told["completed"], told["items"][0]["record_id"]) == (1, 1, "z.jpg")
    assert set(desk.labeled()) == {f"cvat_a_{TIME}"}
