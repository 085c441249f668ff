"""``agir-cvtoolkit quality``, and beneath it ``setup-gold`` and ``merge``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ._beneath import CommandWithOthers
from ._counted import counted
from ._shell import Shell, harmless, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.quality.annotators import ScoreRow
    from agir_cvtoolkit.quality.intervals import Measure
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.quality import QualityResult
    from agir_cvtoolkit.stages.quality_gold import GoldSetUp
    from agir_cvtoolkit.stages.quality_merge import MergeResult

_project = click.option("--project-id", type=click.IntRange(min=1), help="All jobs of this project.")
_tasks = click.option(
    "--task-id",
    "task_ids",
    type=click.IntRange(min=1),
    multiple=True,
    help="The jobs of this task; repeatable.",
)
_gold_task = click.option(
    "--gold-task", type=click.IntRange(min=1), help="A task with the same pictures that is right."
)
_gold_run = click.option("--gold-run", metavar="ID", help="A run into which such a task was pulled.")


@click.command("setup-gold")
@_tasks
@_gold_task
@_gold_run
@with_options
def setup_gold(
    shell: Shell, *, task_ids: tuple[int, ...], gold_task: int | None, gold_run: str | None
) -> None:
    """Make ground-truth jobs in tasks, with the annotations of a gold set in them.

    \b
    agir-cvtoolkit quality setup-gold --task-id 12 --gold-run gold-2026
    """

    def stage(call: Call) -> GoldSetUp:
        from agir_cvtoolkit.stages.quality_gold import quality_setup_gold

        return quality_setup_gold(call, task_ids=task_ids, gold_task=gold_task, gold_run=gold_run)

    shell.run(stage, _show_gold)


@click.command("merge")
@_project
@_tasks
@click.option(
    "--by", type=click.Choice(["majority", "best"]), default="majority", show_default=True,
    help="What most people drew, or what the one with the best gold score drew.",
)  # fmt: skip
@click.option(
    "--tie", type=click.Choice(["drop", "keep"]), default="drop", show_default=True,
    help="What half of the people drew.",
)  # fmt: skip
@_gold_task
@_gold_run
@with_options
def merge(
    shell: Shell,
    *,
    project_id: int | None,
    task_ids: tuple[int, ...],
    by: Literal["majority", "best"],
    tie: Literal["drop", "keep"],
    gold_task: int | None,
    gold_run: str | None,
) -> None:
    """Make one annotation of each picture that several people had; it lies in the run like pulled work.

    \b
    agir-cvtoolkit quality merge --task-id 12 --task-id 13
    agir-cvtoolkit quality merge --task-id 12 --by best --gold-task 9
    """

    def stage(call: Call) -> MergeResult:
        from agir_cvtoolkit.stages.quality_merge import quality_merge

        return quality_merge(
            call,
            project_id=project_id,
            task_ids=task_ids,
            by=by,
            tie=tie,
            gold_task=gold_task,
            gold_run=gold_run,
        )

    shell.run(stage, _show_merge)


@click.command("quality", cls=CommandWithOthers, others={"setup-gold": setup_gold, "merge": merge})
@_project
@_tasks
@click.option("--since", metavar="DATE", help="Only jobs that were changed since, such as 2026-08-01.")
@_gold_task
@_gold_run
@click.option(
    "--within", type=click.FloatRange(min=0), default=5.0, show_default=True, metavar="SECONDS",
    help="Alarm below so many seconds for each picture with proposals.",
)  # fmt: skip
@click.option("--page", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write a page.")
@with_options
def command(
    shell: Shell,
    *,
    project_id: int | None,
    task_ids: tuple[int, ...],
    since: str | None,
    gold_task: int | None,
    gold_run: str | None,
    within: float,
    page: Path | None,
) -> None:
    """Show how well people annotate: against gold frames, the proposals and each other.

    \b
    agir-cvtoolkit quality --project-id 7 --page quality.html
    agir-cvtoolkit quality --task-id 12 --gold-task 9 --since 2026-08-01

    \b
    quality setup-gold   ground-truth jobs out of a gold set
    quality merge        one annotation of what several people did
    """

    def stage(call: Call) -> QualityResult:
        from agir_cvtoolkit.stages.quality import quality_report, since_of

        return quality_report(
            call,
            project_id=project_id,
            task_ids=task_ids,
            since=since_of(since),
            gold_task=gold_task,
            gold_run=gold_run,
            within_s=within,
            page=page,
        )

    shell.run(stage, _show)


def _show(result: QualityResult) -> None:
    click.echo(
        f"{counted(result.jobs, 'completed job')}, {counted(result.frames, 'frame')}, "
        f"{result.gold_frames} of them held against gold"
    )
    _table("Against gold frames", result.gold)
    _table("Agreement of two people", result.agreement)
    _table("Against the proposals (1 = left as it was)", result.changed)
    _times(result)
    for one in result.drifts:
        slope = "" if one.slope is None else f" {one.slope:+.4f} a week ({one.low:+.4f} to {one.high:+.4f})"
        click.echo(harmless(f"drift  {one.annotator}: {one.verdict}{slope}"))
    for alarm in result.alarms:
        click.echo(
            harmless(
                f"alarm  {alarm.annotator}: job {alarm.job_id} of task {alarm.task_id}: {alarm.untouched} of "
                f"{alarm.proposals} proposals untouched on {counted(alarm.pictures, 'picture')}, "
                + (
                    f"{alarm.seconds:.0f} s of work"
                    if alarm.worked
                    else f"at most {alarm.seconds:.0f} s after it was assigned"
                )
            )
        )
    if result.changed and not result.timed:
        click.echo(
            "No job with proposals says when it was assigned after the push: no alarm is possible", err=True
        )
    if result.issues:
        total = sum(map(len, result.issues.values()))
        click.echo(f"{counted(total, 'issue')} of reviewers, {result.open_issues} open")
    for note in result.notes:
        click.echo(harmless(f"note: {note}"), err=True)
    if result.page is not None:
        click.echo(f"Page: {result.page}")


def _times(result: QualityResult) -> None:
    from agir_cvtoolkit.quality.working_time import time_rows

    for row in time_rows(result.times):
        what = {"elapsed": "elapsed, pauses included", "simulated": "a simulated annotator"}.get(
            row.measured, "worked"
        )
        click.echo(
            harmless(
                f"time   {row.annotator}: {row.median_per_frame:.1f} s for each picture ({what}; median of "
                f"{counted(row.jobs, 'job')}, {counted(row.frames, 'picture')}, {counted(row.shapes, 'shape')})"
            )
        )


def _table(title: str, rows: Sequence[ScoreRow]) -> None:
    if not rows:
        return
    click.echo(f"\n{title}")
    head = (
        f"  {'who':<24} {'class':<18} {'week':<9} {'frames':>6}  {'IoU':<20} {'boundary F1':<20} {'OKS':<20}"
    )
    click.echo(head.rstrip())
    for row in rows:
        if row.label and row.week:
            continue  # single weeks of single classes stand on the page and in --json
        values = "".join(f" {_figure(value):<20}" for value in (row.iou, row.boundary_f1, row.oks))
        counts = f" missed {row.missed} extra {row.extra}"
        if row.proposals:
            counts += f" untouched {row.untouched}/{row.proposals}"
        line = f"  {row.annotator:<24} {row.label or 'all':<18} {row.week or 'all':<9} {row.frames:>6} {values}{counts}"
        click.echo(harmless(line))
    click.echo()


def _figure(found: Measure | None) -> str:
    if found is None:
        return "-"
    if found.low is None or found.high is None:
        return f"{found.mean:.3f}"
    return f"{found.mean:.3f} {found.low:.3f}-{found.high:.3f}"


def _show_gold(result: GoldSetUp) -> None:
    would = "would be " if result.dry_run else ""
    for one in result.tasks:
        made = f"job {one.job_id}" if one.job_id is not None else "a job"
        state = "already there" if one.was_there else f"{would}made"
        click.echo(
            f"task {one.task_id}: {made} of {counted(one.frames, 'frame')}, {state}; {one.shapes} shapes"
        )


def _show_merge(result: MergeResult) -> None:
    where = "" if result.folder is None else f" -> {result.folder}"
    made = f"{counted(result.pictures, 'picture')} of {result.people} people merged"
    click.echo(f"{made}, {counted(result.shapes, 'shape')}{where}")
    if not result.replaces:
        only = f"-o preprocess.source.tasks=[{result.task_id}], export --task-id {result.task_id}"
        click.echo(f"These pictures were uploaded by others: to take them from here alone use {only}")
    for picture, text in result.undecided[:20]:
        click.echo(harmless(f"  undecided: {picture}: {text}"), err=True)
    if len(result.undecided) > 20:
        click.echo(f"  ... and {len(result.undecided) - 20} more (--json lists them)", err=True)
    for note in result.notes:
        click.echo(harmless(f"note: {note}"), err=True)
