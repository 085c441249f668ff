"""The error tree: every class says its subject, its next step and its exit code."""

from __future__ import annotations

import inspect

import pytest

from agir_cvtoolkit import errors
from agir_cvtoolkit.errors import AgirError, MissingExtraError, RemoteError, did_you_mean

CODES = {
    errors.UsageError: 2,
    errors.RemoteError: 3,
    errors.DataError: 4,
    errors.InterruptedByUser: 130,
}


def every_class() -> list[type[AgirError]]:
    return [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, AgirError)]


@pytest.mark.parametrize("kind", every_class())
def test_class_decides_the_exit_code(kind: type[AgirError]) -> None:
    expected = next((code for base, code in CODES.items() if issubclass(kind, base)), 1)
    assert kind.exit_code == expected


@pytest.mark.parametrize("kind", every_class())
def test_every_class_stands_in_the_documented_tree(kind: type[AgirError]) -> None:
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__
    assert kind.__doc__


@pytest.mark.parametrize(
    ("problem", "next_step", "text"),
    [
        ("no project 7", "Check the id.", "no project 7. Check the id."),
        ("no project 7.", "Check the id.", "no project 7. Check the id."),
        ("what now?", "Look.", "what now? Look."),
        ("no project 7", "", "no project 7"),
    ],
)
def test_text_joins_problem_and_next_step(problem: str, next_step: str, text: str) -> None:
    error = AgirError(problem, next_step)
    assert str(error) == text
    assert (error.problem, error.next_step) == (problem, next_step)


def test_missing_extra_prints_the_pip_line() -> None:
    assert "pip install 'agir-cvtoolkit[train]'" in str(MissingExtraError("train", "train"))


def test_remote_error_keeps_the_status() -> None:
    assert RemoteError("refused", status=409).status == 409
    assert RemoteError("unreachable").status is None


def test_did_you_mean() -> None:
    assert did_you_mean("projct_id", ["project_id", "labels"]) == "Did you mean 'project_id'?"
    assert did_you_mean("zzz", ["project_id"]) == ""
