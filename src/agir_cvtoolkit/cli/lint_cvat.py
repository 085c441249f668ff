"""``agir-cvtoolkit lint-cvat``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, harmless, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.lint_cvat import LintRestored, LintResult, LintRow

_MOST_SHOWN = 200


@click.command("lint-cvat")
@click.option("--project-id", type=click.IntRange(min=1), help="Check all jobs of this project.")
@click.option(
    "--task-id", "task_ids", type=click.IntRange(min=1), multiple=True, help="Check this task; repeatable."
)
@click.option(
    "--fix",
    is_flag=False,
    flag_value="machine",
    default=None,
    type=click.Choice(["machine", "human"]),
    help="Repair a program's shapes in jobs nobody has worked in; with human, people's too.",
)
@click.option("--jobs", type=click.IntRange(1, 32), help="So many are read at the same time (4).")
@click.option("--backup", metavar="DIR", help="Folder of the backups; else outputs/lint/<time>.")
@click.option("--restore", metavar="FILE", help="Take repairs back: a backup of a job, or its folder.")
@with_options
def command(
    shell: Shell,
    *,
    project_id: int | None,
    task_ids: tuple[int, ...],
    fix: str | None,
    jobs: int | None,
    backup: str | None,
    restore: str | None,
) -> None:
    """Find what is wrong with annotations in CVAT, and repair what is safe.

    Exit code 4 where something is wrong.

    \b
    agir-cvtoolkit lint-cvat --project-id 12
    agir-cvtoolkit lint-cvat --task-id 7 --fix --dry-run
    agir-cvtoolkit lint-cvat --task-id 7 --fix human
    agir-cvtoolkit lint-cvat --restore outputs/lint/20260801T093000
    """
    if restore is not None:
        if project_id is not None or task_ids or fix is not None or backup is not None:
            raise click.UsageError("--restore goes with no other choice of what to check or repair.")
        shell.run(lambda call: _restored(call, Path(restore)), _show_restored)
        return

    def stage(call: Call) -> LintResult:
        from agir_cvtoolkit.stages.lint_cvat import lint_cvat

        return lint_cvat(
            call,
            project_id=project_id,
            task_ids=task_ids,
            fix=fix,  # type: ignore[arg-type]
            backup=None if backup is None else Path(backup),
            jobs=jobs,
        )

    shell.run(stage, _show)


def _restored(call: Call, path: Path) -> LintRestored:
    from agir_cvtoolkit.stages.lint_cvat import lint_restore

    return lint_restore(path, call)


def _show(result: LintResult) -> None:
    place = None
    for row in result.findings[:_MOST_SHOWN]:
        if (row.task_id, row.job_id) != place:
            place = row.task_id, row.job_id
            click.echo(f"task {row.task_id}, job {row.job_id}  {row.url.partition('?')[0]}")
        click.echo(harmless(_line(row)))
    if len(result.findings) > _MOST_SHOWN or result.total > len(result.findings):
        click.echo(
            f"  ... and {result.total - min(_MOST_SHOWN, len(result.findings))} more (--json lists them)"
        )
    for note in result.notes:
        click.echo(harmless(f"note: {note}"), err=True)
    jobs = f"{counted(result.jobs, 'job')} of {counted(result.tasks, 'task')}, {counted(result.shapes, 'annotation')}"
    if not result.total:
        click.echo(f"Nothing wrong in {jobs}")
        return
    told = ", ".join(f"{rule} {count}" for rule, count in sorted(result.counts.items(), key=lambda p: -p[1]))
    click.echo(f"{counted(result.total, 'finding')} in {jobs}: {told}")
    if result.repaired:
        click.echo(f"{result.repaired} {'would be ' if result.dry_run else ''}repaired")
    if result.backup is not None:
        click.echo(f"Take them back with: agir-cvtoolkit lint-cvat --restore {result.backup}")
    repairable = sum(1 for row in result.findings if row.repair and not row.outcome)
    if repairable:
        click.echo(f"{repairable} can be repaired: add --fix human (--fix: only those of programs)")


def _line(row: LintRow) -> str:
    where = "" if row.frame is None else f"frame {row.frame} {row.picture}"
    shape = "" if row.shape_id is None else f" {row.kind} {row.shape_id}"
    label = f" '{row.label}'" if row.label else ""
    what = row.outcome or (f"--fix: {row.repair}" if row.repair else row.next_step)
    if row.outcome in {"repaired", "would be repaired"}:
        what = f"{row.outcome}: {row.repair}"
    return f"  {row.rule:<14} {where}{shape}{label}: {row.problem}. {what}"


def _show_restored(result: LintRestored) -> None:
    would = "would be " if result.dry_run else ""
    for job in result.jobs:
        there = f", {job.there} were so already" if job.there else ""
        click.echo(f"task {job.task_id}, job {job.job_id}: {job.restored} {would}put back{there}")
        for shape_id, reason in job.left.items():
            click.echo(f"  left: {shape_id}: {reason}")
