"""Pages of the site that are made from the code: commands, settings, functions, errors; and README as its start."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import agir_cvtoolkit
from agir_cvtoolkit import errors
from agir_cvtoolkit.cli import main

sys.path.insert(0, str(Path(__file__).parent))

from settings import settings

_CODE = re.compile(r"`[^`]+`")
_ROOT = Path(__file__).parents[2]
_CONF = _ROOT / "src" / "agir_cvtoolkit" / "conf"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that nobody writes by hand."""
    pages = {
        "index.md": _moved("README.md"),
        "changes.md": _moved("CHANGELOG.md"),
        "contributing.md": _moved("CONTRIBUTING.md"),
        "reference/commands.md": "\n".join(_commands()),
        "reference/settings.md": "\n".join(settings(_CONF)),
        "reference/python.md": "\n".join(_functions()),
        "reference/errors.md": "\n".join(_errors()),
    }
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Write what GitHub and MkDocs read differently as MkDocs reads it.

    Links to files beside ``docs/``, which the site does not have, become words; a bar in code in a table needs no
    backslash here.
    """
    if "/" not in page.file.src_uri:
        markdown = re.sub(r"\[([^\]]+)\]\(\.\./[^)]+\)", r"\1", markdown)
    return re.sub(
        r"^\|.*$",
        lambda row: _CODE.sub(lambda code: code[0].replace("\\|", "|"), row[0]),
        markdown,
        flags=re.M,
    )


def _moved(name: str) -> str:
    """Return a page that lies above ``docs/``, with its links as they are from within."""
    text = (_ROOT / name).read_text(encoding="utf-8")
    for path, page in (
        ("CHANGELOG.md", "changes.md"),
        ("CONTRIBUTING.md", "contributing.md"),
        ("README.md", "index.md"),
    ):
        text = text.replace(f"]({path})", f"]({page})")
    return re.sub(r"\]\(docs/", "](", text)


def _commands() -> Iterator[str]:
    yield "# Commands\n\n[Exit codes and `--json`](../deployment.md#what-a-script-may-rely-on) are the same for all.\n"
    yield from _command(main, "agir-cvtoolkit", click.Context(main))


def _command(command: click.Command, name: str, context: click.Context) -> Iterator[str]:
    if isinstance(command, click.Group):
        for part in command.list_commands(context):
            found = command.get_command(context, part)
            if found is not None:
                yield from _command(
                    found, f"{name} {part}", click.Context(found, info_name=part, parent=context)
                )
        return
    with click.Context(command, info_name=name, terminal_width=100) as own:
        yield f"## {name.removeprefix('agir-cvtoolkit ')}\n\n```text\n{command.get_help(own)}\n```\n"
    for part, found in getattr(command, "others", {}).items():
        yield from _command(found, f"{name} {part}", context)


def _functions() -> Iterator[str]:
    yield "# Python\n\nEvery command is also a function with the same options that returns a dataclass.\n"
    for name, where in sorted(agir_cvtoolkit._WHERE.items()):
        module, _, attribute = where.partition(":")
        if name.islower() or name == "Call":
            yield f"::: agir_cvtoolkit{module}.{attribute or name}\n"


def _errors() -> Iterator[str]:
    opening, _, tree = (inspect.getdoc(errors) or "").partition("::\n\n")
    yield f"# Errors\n\n{opening}.\n\n```text\n{textwrap.dedent(tree)}\n```\n"
