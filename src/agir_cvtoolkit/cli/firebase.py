"""The group ``firebase``: a table of commands, loaded when called."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS: dict[str, tuple[str, str]] = {
    "transfer": ("firebase_transfer", "Bring the most uncertain captures to the annotators."),
    "return": ("firebase_return", "Bring corrections back, and trigger retraining."),
    "status": ("firebase_status", "Show captures, tasks, corrections, triggers and the model."),
    "run": ("firebase_run", "Transfer, return and retrain by itself, until it is stopped."),
    "submit": ("firebase_submit", "Play a device: send uncertain poses."),
}


class FirebaseCommands(click.Group):
    """The commands of the device loop, imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names, in the order of the loop."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f".{COMMANDS[cmd_name][0]}", __package__)
        found: click.Command = module.command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command, or suggest the near one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from agir_cvtoolkit.errors import did_you_mean

            ctx.fail(f"No such command '{args[0]}'. {did_you_mean(args[0], COMMANDS)}".strip())
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command("firebase", cls=FirebaseCommands)
def command() -> None:
    """Captures of devices: from Firestore and Cloud Storage to CVAT and back.

    \b
    agir-cvtoolkit firebase transfer --limit 25 --priority 7
    agir-cvtoolkit firebase return --annotations annotations.xml --trigger-retraining
    agir-cvtoolkit firebase status
    """
