"""agir-cvtoolkit: the human-in-the-loop data engine around CVAT.

Every command is a function here, with the same options, that returns a dataclass::

    import agir_cvtoolkit as agir

    agir.query(db="semif", filters=["state=NC"], limit=100)
    agir.infer_seg()
    agir.upload_cvat(agir.Call(overrides=("cvat_upload.task_name=Round1",)))

Functions are imported when they are first used, so ``import agir_cvtoolkit`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__
from .errors import AgirError

if TYPE_CHECKING:
    from .config import load_settings
    from .demo.pose_run import demo_pose as run_demo_pose
    from .demo.run import demo as run_demo
    from .sandbox import SandboxOptions
    from .sandbox import serve as serve_sandbox
    from .serving.dashboard import serve_dashboard
    from .stages import Call
    from .stages.build_db import build_db
    from .stages.config import init_config, show_config
    from .stages.cvat_project import (
        cvat_project_apply,
        cvat_project_list,
        cvat_project_plan,
        cvat_project_pull,
    )
    from .stages.dashboard import open_dashboard
    from .stages.datasets import dataset_diff, dataset_list, dataset_show
    from .stages.doctor import doctor
    from .stages.download_cvat import download_cvat
    from .stages.evaluate import evaluate
    from .stages.export import export
    from .stages.fetch import fetch
    from .stages.firebase_requeue import firebase_requeue
    from .stages.firebase_return import firebase_return
    from .stages.firebase_status import firebase_status
    from .stages.firebase_submit import firebase_submit
    from .stages.firebase_transfer import firebase_transfer
    from .stages.forget import forget
    from .stages.import_labels import import_labels
    from .stages.infer_pose import infer_pose
    from .stages.infer_seg import infer_seg
    from .stages.ledger_care import ledger_backup, ledger_check, ledger_copy
    from .stages.lint_cvat import lint_cvat, lint_restore
    from .stages.loop import LoopOptions, loop
    from .stages.models_list import models_list, models_show
    from .stages.models_onnx import models_onnx
    from .stages.plan import plan
    from .stages.preprocess import preprocess
    from .stages.promote import promote
    from .stages.quality import quality_report
    from .stages.quality_gold import quality_setup_gold
    from .stages.quality_merge import quality_merge
    from .stages.query import query
    from .stages.query_specs import query_compare, query_reproduce, query_show
    from .stages.report import report
    from .stages.retrain import retrain
    from .stages.runs_list import runs_list, runs_show
    from .stages.runs_prune import runs_prune
    from .stages.select import select, select_explain, select_strategies
    from .stages.simulate import simulate
    from .stages.status import status
    from .stages.train import train
    from .stages.trigger import trigger_explain
    from .stages.undo import undo
    from .stages.upload_cvat import upload_cvat
    from .stages.webhooks import webhook_add, webhook_list, webhook_remove
    from .stages.why import why

_WHERE = {
    "Call": ".stages",
    "LoopOptions": ".stages.loop",
    "SandboxOptions": ".sandbox",
    "build_db": ".stages.build_db",
    "cvat_project_apply": ".stages.cvat_project",
    "cvat_project_list": ".stages.cvat_project",
    "cvat_project_plan": ".stages.cvat_project",
    "cvat_project_pull": ".stages.cvat_project",
    "dataset_diff": ".stages.datasets",
    "dataset_list": ".stages.datasets",
    "dataset_show": ".stages.datasets",
    "doctor": ".stages.doctor",
    "download_cvat": ".stages.download_cvat",
    "evaluate": ".stages.evaluate",
    "export": ".stages.export",
    "firebase_requeue": ".stages.firebase_requeue",
    "fetch": ".stages.fetch",
    "firebase_return": ".stages.firebase_return",
    "firebase_status": ".stages.firebase_status",
    "firebase_submit": ".stages.firebase_submit",
    "firebase_transfer": ".stages.firebase_transfer",
    "import_labels": ".stages.import_labels",
    "infer_pose": ".stages.infer_pose",
    "forget": ".stages.forget",
    "infer_seg": ".stages.infer_seg",
    "init_config": ".stages.config",
    "ledger_backup": ".stages.ledger_care",
    "ledger_check": ".stages.ledger_care",
    "ledger_copy": ".stages.ledger_care",
    "lint_cvat": ".stages.lint_cvat",
    "lint_restore": ".stages.lint_cvat",
    "quality_merge": ".stages.quality_merge",
    "quality_report": ".stages.quality",
    "quality_setup_gold": ".stages.quality_gold",
    "load_settings": ".config",
    "loop": ".stages.loop",
    "models_show": ".stages.models_list",
    "models_list": ".stages.models_list",
    "models_onnx": ".stages.models_onnx",
    "open_dashboard": ".stages.dashboard",
    "plan": ".stages.plan",
    "preprocess": ".stages.preprocess",
    "promote": ".stages.promote",
    "query": ".stages.query",
    "query_compare": ".stages.query_specs",
    "query_reproduce": ".stages.query_specs",
    "query_show": ".stages.query_specs",
    "report": ".stages.report",
    "retrain": ".stages.retrain",
    "run_demo": ".demo.run:demo",
    "run_demo_pose": ".demo.pose_run:demo_pose",
    "runs_list": ".stages.runs_list",
    "runs_prune": ".stages.runs_prune",
    "select": ".stages.select",
    "select_explain": ".stages.select",
    "select_strategies": ".stages.select",
    "runs_show": ".stages.runs_list",
    "serve_dashboard": ".serving.dashboard",
    "serve_sandbox": ".sandbox:serve",
    "show_config": ".stages.config",
    "simulate": ".stages.simulate",
    "status": ".stages.status",
    "train": ".stages.train",
    "trigger_explain": ".stages.trigger",
    "undo": ".stages.undo",
    "upload_cvat": ".stages.upload_cvat",
    "webhook_add": ".stages.webhooks",
    "webhook_list": ".stages.webhooks",
    "webhook_remove": ".stages.webhooks",
    "why": ".stages.why",
}

__all__ = [
    "AgirError",
    "Call",
    "LoopOptions",
    "SandboxOptions",
    "__version__",
    "build_db",
    "cvat_project_apply",
    "cvat_project_list",
    "cvat_project_plan",
    "cvat_project_pull",
    "dataset_diff",
    "dataset_list",
    "dataset_show",
    "doctor",
    "download_cvat",
    "evaluate",
    "export",
    "fetch",
    "firebase_requeue",
    "firebase_return",
    "firebase_status",
    "firebase_submit",
    "firebase_transfer",
    "forget",
    "import_labels",
    "infer_pose",
    "infer_seg",
    "init_config",
    "ledger_backup",
    "ledger_check",
    "ledger_copy",
    "lint_cvat",
    "lint_restore",
    "load_settings",
    "loop",
    "models_list",
    "models_onnx",
    "models_show",
    "open_dashboard",
    "plan",
    "preprocess",
    "promote",
    "quality_merge",
    "quality_report",
    "quality_setup_gold",
    "query",
    "query_compare",
    "query_reproduce",
    "query_show",
    "report",
    "retrain",
    "run_demo",
    "run_demo_pose",
    "runs_list",
    "runs_prune",
    "runs_show",
    "select",
    "select_explain",
    "select_strategies",
    "serve_dashboard",
    "serve_sandbox",
    "show_config",
    "simulate",
    "status",
    "train",
    "trigger_explain",
    "undo",
    "upload_cvat",
    "webhook_add",
    "webhook_list",
    "webhook_remove",
    "why",
]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'agir_cvtoolkit' has no attribute '{name}'")
    module, _, attribute = _WHERE[name].partition(":")
    return getattr(import_module(module, __name__), attribute or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
