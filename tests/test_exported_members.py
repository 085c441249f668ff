"""The public functions: all resolve, all are documented, every command has one."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import agir_cvtoolkit
from agir_cvtoolkit.cli._main import COMMANDS

FUNCTIONS = {
    "config": ("show_config", "init_config"),
    "query": ("query", "query_show", "query_reproduce", "query_compare"),
    "dataset": ("dataset_list", "dataset_show", "dataset_diff"),
    "models": ("models_list", "models_onnx", "models_show"),
    "runs": ("runs_list", "runs_show", "runs_prune"),
    "select": ("select", "select_explain", "select_strategies"),
    "ledger": ("ledger_backup", "ledger_check", "ledger_copy"),
    "firebase": (
        "firebase_transfer",
        "firebase_return",
        "firebase_submit",
        "firebase_status",
        "firebase_requeue",
    ),
    "cvat-project": ("cvat_project_plan", "cvat_project_apply", "cvat_project_pull", "cvat_project_list"),
    "import": ("import_labels",),
    "lint-cvat": ("lint_cvat", "lint_restore"),
    "quality": ("quality_report", "quality_setup_gold", "quality_merge"),
    "webhook": ("webhook_add", "webhook_list", "webhook_remove"),
    "dashboard": ("open_dashboard", "serve_dashboard"),
    "trigger": ("trigger_explain",),
    "sandbox": ("serve_sandbox",),
    "demo": ("run_demo",),
    "demo-pose": ("run_demo_pose",),
    "completion": (),  # nothing that a program would want
}


def test_every_exported_name_resolves() -> None:
    for name in agir_cvtoolkit.__all__:
        assert getattr(agir_cvtoolkit, name) is not None
    assert sorted(set(agir_cvtoolkit.__all__)) == sorted(agir_cvtoolkit.__all__)
    assert set(agir_cvtoolkit.__all__) <= set(dir(agir_cvtoolkit))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_function(command: str) -> None:
    for name in FUNCTIONS.get(command, (command.replace("-", "_"),)):
        assert name in agir_cvtoolkit.__all__
        function = getattr(agir_cvtoolkit, name)
        assert inspect.isfunction(function)
        assert function.__doc__
        assert inspect.signature(function).return_annotation is not inspect.Signature.empty
        for parameter in inspect.signature(function).parameters.values():
            assert parameter.annotation is not inspect.Parameter.empty


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = agir_cvtoolkit.nonsense


def test_importing_the_package_is_quick() -> None:
    script = (
        "import sys, agir_cvtoolkit\n"
        "print(sorted(set(sys.modules) & {'numpy', 'torch', 'hydra', 'pydantic', 'sqlalchemy', 'click'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
