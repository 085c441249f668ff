"""Composition: packaged files below, the user's ``conf/`` above them, the command line in Hydra's grammar on top.

A user's file need not repeat the packaged one: a file that holds three keys changes three keys. Hydra's own
``compose`` would take ten times as long for the same tree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.override_parser.types import Override
from pydantic import ValidationError

from ._explanations import explained, leaves
from ._overrides import composed_tree, is_group_choice, parsed_overrides
from ._settings import COMMAND_LINE, PACKAGED, Settings
from ._user_files import Tree, check_folders, layers_of, user_conf


def load_settings(overrides: Sequence[str] = (), config: str | None = None) -> Settings:
    """Compose the configuration and validate it.

    Args:
        overrides: ``group.key=value`` in Hydra's grammar; a later one wins.
        config: a folder or file that takes the place of ``conf/``, or the name of a primary file in
            ``conf/``.

    Raises:
        ConfigError: an unknown key (with the near one), a wrong type or impossible value (with file and key),
            a file that is no YAML.
    """
    directory, primary_name = user_conf(config)
    parsed = parsed_overrides(overrides)
    chosen = {o.key_or_group: str(o.value()) for o in parsed if is_group_choice(o)}
    check_folders(directory)
    layers = layers_of(directory, primary_name, chosen)
    tree = composed_tree(layers.tree, parsed)
    origins = _origins(tree, layers.user_files, parsed)
    try:
        return Settings.model_validate(tree | {"origins": origins})
    except ValidationError as error:
        raise explained(error, origins) from None


def _origins(
    tree: Tree, user_files: Mapping[str, tuple[Path, Tree]], parsed: Sequence[Override]
) -> dict[str, str]:
    origins = {key: PACKAGED for key, _ in leaves(tree)}
    for group, (path, content) in user_files.items():
        for key, _ in leaves(content, f"{group}." if group else ""):
            origins[key] = str(path)
    for override in parsed:
        key = str(override.key_or_group)
        if is_group_choice(override):
            continue
        origins[key] = COMMAND_LINE
        for leaf in [k for k in origins if k.startswith(key + ".")]:
            origins[leaf] = COMMAND_LINE
    return origins
