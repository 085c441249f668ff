"""What every command shares: options, output, exit codes, no secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from agir_cvtoolkit import errors
from agir_cvtoolkit.cli import _lazy, _main
from agir_cvtoolkit.cli._main import COMMANDS, main
from agir_cvtoolkit.cli._shell import Shell, echo_items, harmless, with_options
from agir_cvtoolkit.errors import AgirError
from agir_cvtoolkit.records import Item

COMMON = {"--override", "--config", "--run", "--dry-run", "--json", "--verbose", "--quiet"}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    log = logging.getLogger("agir_cvtoolkit")
    before = (log.handlers, log.propagate, log.level)
    monkeypatch.chdir(tmp_path)
    yield
    log.handlers, log.propagate = before[0], before[1]
    log.setLevel(before[2])


def commands() -> dict[str, click.Command]:
    """Every command that does something, groups opened."""
    context = click.Context(main)
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": child for sub, child in command.commands.items()}
        else:
            found[name] = command
    return found


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("there is no picture", "Error: There is no picture"),
        ("pics holds no picture", "Error: pics holds no picture"),
        ("here holds no picture", "Error: here holds no picture"),
        ("barley has no pool", "Error: barley has no pool"),
        ("train.epochs is wrong", "Error: train.epochs is wrong"),
    ],
)
def test_a_sentence_begins_with_a_capital_and_a_name_with_its_own_letter(
    problem: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("here").mkdir()
    monkeypatch.setattr("sys.argv", ["agir-cvtoolkit", "loop", "barley", "--pool", "/data/pics"])

    def stage(call: Any) -> None:
        raise AgirError(problem)

    @click.command()
    @with_options
    def command(shell: Shell) -> None:
        shell.run(stage, lambda _: None, configured=False)

    assert said in CliRunner().invoke(command, []).stderr


@pytest.mark.parametrize("name", commands())
def test_every_command_has_every_common_option(name: str) -> None:
    options = {o for p in commands()[name].params for o in p.opts}
    assert options >= COMMON | {"-o"}


@pytest.mark.parametrize("name", commands())
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(main, [*name.split(), "--help"])
    assert result.exit_code == 0
    first = name.split(maxsplit=1)[0]
    assert f"agir-cvtoolkit {first}" in result.output.split("Options:")[0].split("\n\n", 1)[1]
    for parameter in commands()[name].params:
        assert (
            isinstance(parameter, click.Argument)
            or parameter.help
            or parameter.name in {"username", "password", "table", "seed", "db", "out", "folder", "root"}
        )


def test_the_table_of_commands_says_what_each_does() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert all(f"agir-cvtoolkit {name}" in result.output for name in ("query", "select", "loop", "report"))
    assert "infer-seg pictures/" in result.output
    assert result.exit_code == 0
    for name, (_, text) in COMMANDS.items():
        assert name in result.output
        assert text.split(";")[0].split(",")[0].rstrip(".") in " ".join(result.output.split())


def test_version() -> None:
    from agir_cvtoolkit import __version__

    result = CliRunner().invoke(main, ["--version"])
    assert (result.exit_code, __version__ in result.output) == (0, True)


@pytest.mark.parametrize(
    ("typed", "meant"), [("upload", "upload-cvat"), ("qurey", "query"), ("infer_seg", "infer-seg")]
)
def test_an_unknown_command_suggests_the_near_one(typed: str, meant: str) -> None:
    result = CliRunner().invoke(main, [typed])
    assert result.exit_code == 2
    assert f"Did you mean '{meant}'?" in result.stderr


def test_nothing_is_suggested_for_nonsense() -> None:
    result = CliRunner().invoke(main, ["zzzzzz"])
    assert result.exit_code == 2
    assert "Did you mean" not in result.stderr


# --- results and errors ------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    count: int
    path: Path
    share: float
    rows: tuple[dict[str, object], ...] = ()
    exit_code: int = 0


def run(outcome: object, *arguments: str) -> Result:
    """Call a command whose stage returns or raises the outcome."""

    @click.command("probe")
    @with_options
    def probe(shell: Shell) -> None:
        def stage(call: Any) -> Any:
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        shell.run(stage, lambda result: click.echo(f"shown {result.count}"), configured=False)

    group = _main.Commands("main", table={})
    group.get_command = lambda ctx, name: probe  # type: ignore[method-assign,assignment]
    group.resolve_command = lambda ctx, args: ("probe", probe, args[1:])  # type: ignore[method-assign]
    return CliRunner().invoke(group, ["probe", *arguments])


def test_a_result_is_shown_to_people_or_given_as_json() -> None:
    answer = Answer(3, Path("a/b"), float("nan"), ({"ü": None, "x": Path("y")},))
    shown = run(answer)
    assert (shown.exit_code, shown.stdout, shown.stderr) == (0, "shown 3\n", "")
    given = run(answer, "--json")
    assert json.loads(given.stdout) == {
        "count": 3,
        "path": "a/b",
        "share": None,
        "rows": [{"ü": None, "x": "y"}],
        "exit_code": 0,
    }
    assert given.stderr == ""


def test_a_result_decides_its_exit_code() -> None:
    assert run(Answer(1, Path(), 0.0, exit_code=1)).exit_code == 1


KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, AgirError) and kind is not errors.MissingExtraError
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_ends_with_its_code_and_one_line(kind: type[AgirError]) -> None:
    result = run(kind("project 7 not found", "Check the id."))
    assert result.exit_code == kind.exit_code
    assert result.stderr == "Error: Project 7 not found. Check the id.\n"
    assert result.stdout == ""


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_is_json_on_stdout(kind: type[AgirError]) -> None:
    result = run(kind("project 7 not found", "Check the id."), "--json")
    assert result.exit_code == kind.exit_code
    content = json.loads(result.stdout)
    assert content == {
        "error": {"problem": "project 7 not found", "next_step": "Check the id.", "kind": kind.__name__}
    }


def test_an_unexpected_error_is_one_line_too_and_a_traceback_on_demand() -> None:
    brief = run(ZeroDivisionError("division by zero"))
    assert brief.exit_code == 1
    assert brief.stderr.startswith("Error: Unexpected ZeroDivisionError: division by zero")
    assert "Traceback" not in brief.stderr
    assert "Traceback" in run(ZeroDivisionError("x"), "--verbose").stderr
    assert "Traceback" in run(errors.DataError("x"), "--verbose").stderr
    assert "Traceback" not in run(errors.DataError("x")).stderr


def test_a_full_disk_or_a_forbidden_folder_is_no_bug() -> None:
    result = run(PermissionError(13, "Permission denied", "/outputs/runs"))
    assert result.exit_code == 1
    assert "/outputs/runs: Permission denied" in result.stderr
    assert "bug" not in result.stderr
    # A write to an open file names none.
    full = run(OSError(28, "No space left on device"))
    assert "No space left on device" in full.stderr
    assert "free space" in full.stderr
    assert "bug" not in full.stderr


def test_what_a_terminal_would_obey_is_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    """A device's joint or a label may be called anything."""
    assert harmless("Größe 5 µm\n\tok") == "Größe 5 µm\n\tok"
    evil = "\x1b]0;title\x07\x1b[2J\u202egpj\x9b31m\ud800"
    assert harmless(evil).encode("utf-8").isascii()
    echo_items((Item(evil, "noted", evil),))
    assert not set(capsys.readouterr().err) & set(evil[:1] + "\x07\u202e\x9b\ud800")
    result = run(errors.DataError(f"joint {evil} is not known"))
    assert "\x1b" not in result.stderr
    assert "\\x1b]0;title" in result.stderr


def test_ctrl_c_ends_with_130_and_says_how_to_go_on() -> None:
    result = run(KeyboardInterrupt())
    assert result.exit_code == 130
    assert "Start the same command again" in result.stderr
    assert "Traceback" not in result.stderr


def test_ctrl_c_while_a_command_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_lazy, "import_module", interrupted)
    result = CliRunner().invoke(main, ["query"])
    assert result.exit_code == 130
    assert "Interrupted" in result.stderr


def test_an_error_while_a_result_is_shown_is_one_line_too() -> None:
    result = run(object())
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Unexpected")


@pytest.mark.parametrize("flags", [(), ("--json",), ("--verbose",), ("--json", "--verbose")])
@pytest.mark.parametrize(
    "text",
    [
        "cannot connect to postgresql://me:hunter2@db/x",
        "cannot connect to postgresql://me:hun@ter2@db/x",
        "wrong password=hunter2",
        "sent {'password': 'hunter2', 'user': 'me'}",
        'sent {"access_token": "hunter2"}',
        "sent Authorization: Bearer hunter2",
    ],
)
def test_secrets_show_nowhere(text: str, flags: tuple[str, ...]) -> None:
    cause = RuntimeError(text)
    error = errors.RemoteError(text, text)
    error.__cause__ = cause
    for outcome in (error, cause):
        result = run(outcome, *flags)
        assert "hunter2" not in result.output
        assert "ter2" not in result.output
        if "--json" in flags:
            assert set(json.loads(result.stdout)["error"]) == {"problem", "next_step", "kind"}


def test_verbose_and_quiet_exclude_each_other() -> None:
    assert run(None, "--verbose", "--quiet").exit_code == 2


@pytest.mark.parametrize(("flag", "levels"), [("--verbose", "DWE"), ("--quiet", "E"), ("--json", "WE")])
def test_the_log_goes_to_stderr_by_level(flag: str, levels: str) -> None:
    @click.command()
    @with_options
    def probe(shell: Shell) -> None:
        def stage(call: Any) -> Answer:
            log = logging.getLogger("agir_cvtoolkit.room")
            log.debug("D password=hunter2")
            log.warning("W password=hunter2")
            log.error("E password=hunter2")
            return Answer(1, Path(), 0.0)

        shell.run(stage, lambda _: None, configured=False)

    result = CliRunner().invoke(probe, [flag])
    assert "".join(line.split(": ")[1][0] for line in result.stderr.splitlines()) == levels
    assert "hunter2" not in result.output
    assert "W" not in result.stdout


def test_a_wrong_option_is_usage_also_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["agir-cvtoolkit", "query", "--limit", "many", "--json"])
    result = CliRunner().invoke(main, ["query", "--limit", "many", "--json"])
    assert result.exit_code == 2
    assert "--limit" in json.loads(result.stdout)["error"]["problem"]


def test_a_configuration_error_is_code_2_with_the_near_key() -> None:
    result = CliRunner().invoke(main, ["status", "-o", "cvat_upload.projct_id=3"])
    assert result.exit_code == 2
    assert "cvat_upload.project_id" in result.stderr


def test_listed_items_are_cut_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    echo_items(tuple(Item(f"r{n}", "failed", "broken") for n in range(25)))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "  failed: r0: broken"
    assert len(lines) == 21
    assert "5 more" in lines[-1]
