"""The tutorial, followed by its page alone: files are written, commands run, and what they print is what it shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from agir_cvtoolkit.cli import main
from tests.ports import free_port
from tests.test_docs import fenced

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"
_DECIMAL = re.compile(r"\d+\\\.\d+(?!\\\.)")


class _Reader:
    """Does what the page says, in an empty folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.sandbox: subprocess.Popen[str] | None = None
        self.printed: list[str] = []

    def follow(self, kind: str, content: str) -> None:
        content = content.replace(":8080", f":{self.port}")
        if kind == "bash":
            self.printed = [line for command in content.splitlines() for line in self._type(command)]
        elif kind == "yaml":
            path = self.folder / content.splitlines()[0].removeprefix("# ")
            path.write_text(content, encoding="utf-8")
        else:
            self._compare(content.splitlines())

    def _type(self, command: str) -> list[str]:
        words = shlex.split(command)
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            os.environ[name] = value
            return []
        if words[:2] == ["mkdir", "-p"]:
            for name in words[2:]:
                (self.folder / name).mkdir(parents=True)
            return []
        if words[0] in {"pip", "mkdir"}:
            return []
        assert words[0] == "agir-cvtoolkit", command
        if words[1] == "sandbox":
            words += ["--port", str(self.port)]
            if "--annotate" not in words:
                return [self._start(words[1:])]
        result = CliRunner().invoke(main, words[1:])
        assert result.exit_code == 0, f"{command}\n{result.output}"
        return result.stdout.splitlines()

    def _start(self, words: list[str]) -> str:
        command = [sys.executable, "-m", "agir_cvtoolkit", *words]
        self.sandbox = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ
        )
        assert self.sandbox.stdout is not None
        return self.sandbox.stdout.readline()

    def _compare(self, shown: list[str]) -> None:
        """Find each line that the page shows, in order; figures with decimals may differ."""
        rest = iter(self.printed)
        for line in shown:
            pattern = _DECIMAL.sub(r"\\d+\\.\\d+", re.escape(line).replace("…", ".*"))
            assert any(re.fullmatch(pattern, found.rstrip()) for found in rest), (line, self.printed)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Reader]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    for name in ("CVAT_URL", "CVAT_USERNAME", "CVAT_PASSWORD"):
        monkeypatch.setenv(name, "")
    found = _Reader(tmp_path, free_port())
    yield found
    if found.sandbox is not None:
        found.sandbox.terminate()
        found.sandbox.communicate(timeout=60)


@pytest.mark.integration
@pytest.mark.slow
def test_the_tutorial_does_what_it_says(reader: _Reader) -> None:
    pytest.importorskip("lightning")
    blocks = fenced(PAGE)
    assert [kind for kind, _ in blocks].count("text") > 6
    for kind, content in blocks:
        reader.follow(kind, content)
    assert (reader.folder / "coco" / "annotations").is_dir()


def test_a_line_that_was_not_printed_is_missed(tmp_path: Path) -> None:
    reader = _Reader(tmp_path, 1)
    reader.printed = ["8 pictures, IoU 0.61", "done in run 7a"]
    reader.follow("text", "8 pictures, IoU 0.65\ndone in …\n")
    with pytest.raises(AssertionError, match="9 pictures"):
        reader.follow("text", "9 pictures, IoU 0.61\n")
    with pytest.raises(AssertionError, match="8 pictures"):
        reader.follow("text", "done in run 7a\n8 pictures, IoU 0.61\n")
