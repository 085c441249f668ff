"""The root command: a table of commands, loaded when called."""

from __future__ import annotations

import sys
from typing import Any

import click

from agir_cvtoolkit._version import __version__

from ._lazy import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "query": ("query", "Choose records from SemiF or Field and start a run."),
    "build-db": ("build_db", "Make a small database from a folder of pictures and a CSV."),
    "fetch": ("fetch", "Stage the run's pictures of slow storage on this machine."),
    "infer-seg": ("infer_seg", "Predict masks, with an uncertainty for each record."),
    "infer-pose": ("infer_pose", "Find animals' joints, with a confidence for each."),
    "select": ("select", "Choose which of the predicted pictures people get to see next."),
    "cvat-project": ("cvat_project", "Describe a CVAT project in a file; plan, apply and pull it."),
    "upload-cvat": ("upload_cvat", "Make CVAT tasks with pre-annotations."),
    "download-cvat": ("download_cvat", "Bring finished work back from CVAT."),
    "export": ("export", "Write what was pulled as COCO, YOLO, masks, CVAT XML, ..."),
    "import": ("import_", "Take labels or predictions of other tools as proposals."),
    "webhook": ("webhook", "Have CVAT say when a job is completed."),
    "lint-cvat": ("lint_cvat", "Find what is wrong with annotations in CVAT; repair what is safe."),
    "quality": ("quality", "Show how well people annotate; merge what several drew."),
    "undo": ("undo", "Delete what was pushed and nobody has touched."),
    "preprocess": ("preprocess", "Make the training data set from originals and corrections."),
    "dataset": ("dataset", "List, show and compare versions of data sets."),
    "train": ("train", "Train a model on the data set; preprocesses by itself."),
    "evaluate": ("evaluate", "Compare a model with the champion on the frozen test set."),
    "promote": ("promote", "Make a model the champion of the next rounds."),
    "models": ("models", "List and show models; write one as ONNX."),
    "retrain": ("retrain", "Take a retraining trigger, train, and publish what is better."),
    "loop": ("loop", "Run whole rounds until there is nothing more to gain."),
    "trigger": ("trigger", "Say when a model is trained, and why not yet."),
    "firebase": ("firebase", "Bring captures of devices to the annotators and back."),
    "forget": ("forget", "Remove a capture everywhere it went."),
    "status": ("status", "Show where the runs, pushes and models stand."),
    "why": ("why", "Tell the whole life of one picture."),
    "simulate": ("simulate", "Try strategies of choice on labelled pictures."),
    "report": ("report", "Write where the loop stands as one HTML file."),
    "dashboard": ("dashboard", "Serve the report live, with every picture's life."),
    "plan": ("plan", "Say what some hours of people's work bring."),
    "runs": ("runs", "List, show and prune runs."),
    "ledger": ("ledger", "Back up and check the ledger."),
    "doctor": ("doctor", "Check configuration, credentials, server, database and GPU."),
    "config": ("config", "Show what is configured and where it comes from; write a conf/ to edit."),
    "sandbox": ("sandbox", "Run the embedded CVAT-compatible server."),
    "demo": ("demo", "Run the whole loop on embedded parts."),
    "demo-pose": ("demo_pose", "Run the device loop on embedded parts."),
    "completion": ("completion", "Print the shell completion script."),
}


class Commands(LazyGroup):
    """The root: whatever a command does, it ends with one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an interruption, wherever it comes, ends with one line and code 130."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted. Start the same command again to go on where it stopped.", err=True)
            ctx.exit(130)
        except click.UsageError as error:
            if "--json" in sys.argv[1:]:
                from ._shell import echo_json_error

                echo_json_error("UsageError", error.format_message(), "See --help.")
            raise


@click.command(cls=Commands, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="agir-cvtoolkit")
def main() -> None:
    """Close the loop between a model and the people who correct it in CVAT.

    \b
    agir-cvtoolkit query --db semif --filters "state=NC" --limit 100
    agir-cvtoolkit infer-seg
    agir-cvtoolkit select --count 50
    agir-cvtoolkit upload-cvat
    agir-cvtoolkit download-cvat
    agir-cvtoolkit train
    agir-cvtoolkit report

    A folder of pictures needs no query: infer-seg pictures/

    agir-cvtoolkit loop NAME runs all of it, round after round.

    Exit codes: 0 done, 1 done in part, 2 usage or configuration, 3 remote side failed, 4 data check failed,
    130 interrupted.
    """
