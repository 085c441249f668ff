"""The documentation: every command line is parsed, every YAML block is composed, every link leads somewhere."""

from __future__ import annotations

import configparser
import importlib
import re
import shlex
from pathlib import Path
from types import ModuleType

import click
import pytest
import yaml

from agir_cvtoolkit.cli import main
from agir_cvtoolkit.cli._main import COMMANDS
from agir_cvtoolkit.config import load_settings

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


def fenced(page: Path) -> list[tuple[str, str]]:
    """Return the blocks of a page that have a language, as language and content."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def _blocks(kind: str) -> list[tuple[str, str]]:
    return [(page.name, content) for page in PAGES for found, content in fenced(page) if found == kind]


def _command_lines() -> list[tuple[str, str]]:
    lines = []
    for page, block in _blocks("bash"):
        joined = block.replace("\\\n", " ")
        lines += [(page, line) for line in joined.splitlines() if line.startswith("agir-cvtoolkit ")]
    return lines


def _parse(words: list[str]) -> click.Context:
    command: click.Command = main
    context = click.Context(main, info_name="agir-cvtoolkit")
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
    return command.make_context(name, words, parent=context)


@pytest.mark.parametrize(("page", "line"), _command_lines())
def test_every_command_line_is_understood(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    context = _parse(words)
    load_settings(context.params.get("overrides", ()))


def test_command_lines_are_found() -> None:
    assert len(_command_lines()) > 40


@pytest.mark.parametrize(("page", "block"), _blocks("yaml"))
def test_every_yaml_block_is_a_configuration(
    page: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = re.match(r"# (\S+)", block)
    if named and named.group(1).startswith("conf/"):
        target = tmp_path / named.group(1)
        target.parent.mkdir(parents=True)
        target.write_text(block)
        monkeypatch.chdir(tmp_path)
        load_settings()
    else:
        assert set(yaml.safe_load(block)) == {"cvat"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_command_is_documented() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    missing = [name for name in COMMANDS if f"agir-cvtoolkit {name}" not in text and name != "demo"]
    assert not missing
    assert "make demo" in text


def test_readme_python_names_exist() -> None:
    import agir_cvtoolkit

    for _, block in _blocks("python"):
        for name in re.findall(r"agir\.(\w+)\(", block):
            assert name in agir_cvtoolkit.__all__


def _named_tests() -> list[tuple[str, str]]:
    found = (re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text(encoding="utf-8")) for page in PAGES)
    return [pair for pairs in found for pair in pairs]


@pytest.mark.parametrize(("file", "name"), _named_tests())
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.M), f"{file}::{name}"


def test_each_of_the_sixteen_rules_names_a_test() -> None:
    lines = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8").splitlines()
    rules = [int(line.split()[1]) for line in lines if re.match(r"\| \d+ .*`tests/.*::test_", line)]
    assert rules == list(range(1, 17))


def test_every_page_is_in_the_navigation_once() -> None:
    # Not safe_load: the settings of some themes hold Python names.
    named = re.findall(r"^ +- .+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    written = [
        page.relative_to(ROOT / "docs").as_posix() for page in PAGES if (ROOT / "docs") in page.parents
    ]
    assert sorted(set(written) - set(named)) == []
    assert sorted(named) == sorted(set(named))


@pytest.fixture
def settings_page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_site"))
    return importlib.import_module("settings")


def test_every_setting_has_a_line_in_the_reference(settings_page: ModuleType) -> None:
    text = "\n".join(settings_page.settings(ROOT / "src" / "agir_cvtoolkit" / "conf"))
    missing = []
    for group in re.findall(r"^## (\w+)$", text, re.M):
        section = text.partition(f"## {group}\n")[2].partition("\n## ")[0]
        values = load_settings().dump(group)[group]
        missing += [f"{group}.{key}" for key in values if not re.search(rf"`{key}[.`]", section)]
    assert missing == []
    assert [line for line in text.splitlines() if line.startswith("| `") and line.endswith("|  |")] == []
    assert "| `tile.overlap` | number ≥ 0, ≤ 0.9 | `0.25` | share of a tile" in text


def test_comments_belong_to_their_keys(settings_page: ModuleType) -> None:
    text = "# Of all.\na: 1   # one\n       # and on\n# why b\nb:     # a group\n  c: 'x' # deep\n  d: 2\n"
    assert settings_page.meanings(text) == {
        "": "Of all.",
        "a": "one and on",
        "b": "a group. why b",
        "b.c": "deep",
    }


def _lines_of(kind: str) -> list[str]:
    return [line for page, block in _blocks(kind) if page == "deployment.md" for line in block.splitlines()]


def test_the_units_of_the_deployment_are_whole() -> None:
    units = {}
    for page, block in _blocks("ini"):
        assert page == "deployment.md"
        parser = configparser.ConfigParser(strict=True, interpolation=None)
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        parser.read_string(block)
        units[re.match(r"# \S+/(\S+)", block)[1]] = parser  # type: ignore[index]
    assert {name.rpartition(".")[2] for name in units} == {"service", "timer"}
    for name, unit in units.items():
        if name.endswith(".timer"):
            assert unit["Timer"]["OnCalendar"]
            assert unit["Install"]["WantedBy"] == "timers.target"
            assert name.replace(".timer", ".service") in units
        else:
            words = shlex.split(unit["Service"]["ExecStart"])
            assert words[0].endswith("/agir-cvtoolkit")
            _parse(words[1:])


def test_the_crontab_of_the_deployment_is_understood() -> None:
    jobs = [line for line in _lines_of("cron") if re.match(r"[\d*]", line)]
    assert jobs
    for job in jobs:
        *when, rest = job.split(None, 5)
        assert all(re.fullmatch(r"[\d*/,-]+", field) for field in when)
        for command in re.findall(r"agir-cvtoolkit ([^&|>]+)", rest):
            _parse(shlex.split(command))
