"""``agir-cvtoolkit webhook``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.webhooks import WebhookAdded, WebhooksListed, WebhooksRemoved

_project = click.option("--project-id", type=click.IntRange(min=1), default=None, help="Project in CVAT.")


@click.group("webhook")
def command() -> None:
    """Have CVAT say when a job is completed; list and remove such webhooks."""


@command.command("add")
@click.argument("url")
@_project
@click.option("--ping/--no-ping", default=True, help="Have CVAT call it once.")
@with_options
def add(shell: Shell, *, url: str, project_id: int | None, ping: bool) -> None:
    """Have CVAT call URL whenever a job of the project is completed or reopened.

    \b
    agir-cvtoolkit download-cvat --watch --listen 0.0.0.0:8086
    agir-cvtoolkit webhook add http://gpusrv:8086/ --project-id 7
    """

    def stage(call: Call) -> WebhookAdded:
        from agir_cvtoolkit.stages.webhooks import webhook_add

        return webhook_add(url, call, project_id=project_id, ping=ping)

    shell.run(stage, _show_added)


@command.command("list")
@_project
@with_options
def list_all(shell: Shell, *, project_id: int | None) -> None:
    """List webhooks, with what came of their last delivery.

    \b
    agir-cvtoolkit webhook list
    """

    def stage(call: Call) -> WebhooksListed:
        from agir_cvtoolkit.stages.webhooks import webhook_list

        return webhook_list(call, project_id=project_id)

    shell.run(stage, _show_list)


@command.command("remove")
@click.argument("which")
@_project
@with_options
def remove(shell: Shell, *, which: str, project_id: int | None) -> None:
    """Remove the webhook of number or address WHICH.

    \b
    agir-cvtoolkit webhook remove 3
    agir-cvtoolkit webhook remove http://gpusrv:8086/
    """

    def stage(call: Call) -> WebhooksRemoved:
        from agir_cvtoolkit.stages.webhooks import webhook_remove

        return webhook_remove(int(which) if which.isdecimal() else which, call, project_id=project_id)

    shell.run(stage, _show_removed)


def _show_added(result: WebhookAdded) -> None:
    place = f"project {result.project_id} of {result.server}"
    if result.dry_run:
        click.echo(
            f"Would {'change' if result.changed else 'add'} the webhook of {place} to {result.target_url}"
        )
        return
    number = f"Webhook {result.webhook.id}" if result.webhook is not None else "The webhook"
    click.echo(
        f"{number} of {place} {'was there; it' if result.changed else 'now'} calls {result.target_url}"
    )
    if result.reached:
        click.echo("CVAT has tried it: it answers.")
    elif result.answered is not None:
        click.echo(_why_not(result.answered), err=True)


def _why_not(status: int) -> str:
    if status in {502, 504}:
        return (
            "CVAT has tried it and got no answer. Start download-cvat --watch --listen HOST:PORT, and see that the"
            " server may call it: CVAT's own compose file lets webhooks reach public addresses only (SMOKESCREEN_OPTS)."
            " Until it answers, the regular looks of --watch do its work."
        )
    if status in {401, 403}:
        return "CVAT has tried it, and who answers there has another secret: start it again with this one."
    if status >= 500:
        return f"CVAT could not try it (HTTP {status}). Where it never calls, the regular looks of --watch do its work."
    return f"CVAT has tried it and was answered with HTTP {status}: something else listens there."


def _show_list(result: WebhooksListed) -> None:
    where = f"project {result.project_id} of {result.server}" if result.project_id else result.server
    if not result.webhooks:
        click.echo(f"No webhook in {where}. Add one with: agir-cvtoolkit webhook add URL")
        return
    click.echo(f"{counted(len(result.webhooks), 'webhook')} in {where}")
    for one in result.webhooks:
        last = (
            "never called"
            if one.last_status is None
            else f"last answered {one.last_status}, {one.last_delivery}"
        )
        off = "" if one.active else ", switched off"
        click.echo(f"  {one.id}  {one.target_url}  {' '.join(one.events)}  ({last}{off})")


def _show_removed(result: WebhooksRemoved) -> None:
    for one in result.webhooks:
        click.echo(f"{'Would remove' if result.dry_run else 'Removed'} webhook {one.id} to {one.target_url}")
