"""The command line in Hydra's grammar: understood, checked against the settings, and laid on top of the files."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from agir_cvtoolkit.errors import ConfigError

from ._explanations import unknown_setting
from ._keys import fields_of, values_of
from ._redact import redacted
from ._settings import RETIRED, Settings
from ._user_files import GROUPS, REPLACED_WHOLE, Tree


def parsed_overrides(overrides: Sequence[str]) -> list[Override]:
    """Understand overrides, and refuse those of settings that there are not."""
    parsed = []
    for text in overrides:
        try:
            override = _parse(text)
        except HydraException as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(
                f"override '{redacted(text)}' cannot be understood: {redacted(reason)}",
                "Write it as group.key=value; put text with spaces or braces in quotes.",
            ) from error
        if override.is_sweep_override():
            raise ConfigError(f"override '{text}' gives several values", "Put a list in brackets: key=[a,b].")
        _check_key(str(override.key_or_group))
        parsed.append(override)
    return parsed


def _parse(text: str) -> Override:
    parser = OverridesParser.create()
    try:
        return parser.parse_override(text)
    except HydraException:
        # Plain text that the grammar has no words for (umlauts, parentheses) is taken as if it were quoted.
        key, equals, value = text.partition("=")
        if not key or not value.strip() or set(value) & set("'\"[]{}\\,"):
            raise
        return parser.parse_override(f"{key}{equals}'{value.strip()}'")


def is_group_choice(override: Override) -> bool:
    """Whether an override chooses the file of a group."""
    return override.key_or_group in GROUPS and isinstance(override.value(), str)


def _check_key(key: str) -> None:
    for retired, text in RETIRED.items():
        if key == retired or key.startswith(retired + "."):
            raise ConfigError(f"{retired} is not a setting of this version", f"Instead: {text}.")
    annotation: object = Settings
    path: list[str] = []
    for part in key.split("."):
        fields = fields_of(annotation)
        if fields is not None and part not in fields:
            raise unknown_setting(".".join([*path, part]), part, fields)
        annotation = values_of(annotation) if fields is None else fields[part]
        if annotation is None:
            raise ConfigError(f"{'.'.join(path)} is a single value and has no key below it")
        path.append(part)


def composed_tree(tree: Tree, parsed: Sequence[Override]) -> Tree:
    """Lay overrides on top of a tree and resolve what refers to other keys."""
    changed = {str(o.key_or_group).partition(".")[0] for o in parsed if not is_group_choice(o)}
    # OmegaConf takes most of the time of a composition; what nothing refers to or changes comes out as it goes in.
    if _refers([tree, *(str(o.input_line) for o in parsed)]):
        changed |= set(tree)
    try:
        composed = OmegaConf.create({key: value for key, value in tree.items() if key in changed})
        for override in parsed:
            if not is_group_choice(override):
                _apply(override, composed)
        _replace_whole(composed, parsed)
        container = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"the configuration cannot be composed: {redacted(reason)}") from error
    done = {str(key): value for key, value in container.items()} if isinstance(container, dict) else {}
    whole = {key: deepcopy(value) for key, value in tree.items() if key not in changed} | done
    return {key: whole[key] for key in [*tree, *done] if key in whole}


def _refers(value: object) -> bool:
    """Whether text in a tree refers to another value, or stands for one that is missing."""
    if isinstance(value, dict):
        return any(map(_refers, value.values()))
    if isinstance(value, list):
        return any(map(_refers, value))
    return isinstance(value, str) and ("${" in value or "???" in value)


def _apply(override: Override, composed: DictConfig) -> None:
    """Do what Hydra does with an override; a key without a sign may be new, as one with two plus signs."""
    key, value = str(override.key_or_group), override.value()
    given = f"override '{redacted(str(override.input_line))}'"
    if override.package is not None:
        raise ConfigError(f"{given} names a package", f"Write it as {key}=value.")
    there = OmegaConf.select(composed, key, throw_on_missing=False)
    if override.is_delete():
        if there is None or value not in (None, there):
            raise ConfigError(f"{given} removes what is not there", "See: agir-cvtoolkit config show")
        parent, _, last = key.rpartition(".")
        del (OmegaConf.select(composed, parent) if parent else composed)[last]
    elif override.is_add() and there is not None and not isinstance(value, dict | list):
        raise ConfigError(f"{given} adds what is there already", "Leave out the plus sign.")
    else:
        OmegaConf.update(composed, key, value)


def _replace_whole(composed: DictConfig, parsed: Sequence[Override]) -> None:
    for key in REPLACED_WHOLE:
        if not any(o.key_or_group == key and isinstance(o.value(), dict) for o in parsed):
            continue
        for override in parsed:
            name = str(override.key_or_group)
            if (name == key or name.startswith(key + ".")) and not override.is_delete():
                OmegaConf.update(composed, name, override.value(), merge=False)
