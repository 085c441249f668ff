"""Pose schemas: which joints an animal has, by which names they go, and how they hang together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from .errors import ConfigError, did_you_mean

SCHEMAS = ("dog24", "dog26", "vision25", "dog5")
"""Schemas that come with the package."""
DEFAULT_SCHEMA = "dog24"
DEFAULT_SIGMA = 0.05
ALL_JOINTS = "all"
"""The joint group that is every joint."""


@dataclass(frozen=True)
class JointSchema:
    """The joints of one kind of animal.

    Attributes:
        name: of the schema.
        label: of the animal as a whole: the skeleton's label in CVAT.
        joints: names, in the order of the skeleton's elements and of every array.
        links: pairs of joints that a limb or the trunk joins.
        pairs: left and right of what an animal has twice.
        groups: joints by part of the body.
        aliases: other names, to the joint that they mean; spelled any way (see `resolve`).
        sigmas: how far two people disagree on a joint, as a share of the animal's size: the constant k of the
            object keypoint similarity (COCO keypoint evaluation); those of COCO's person for joints like it.
    """

    name: str
    label: str
    joints: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    aliases: Mapping[str, str] = field(default_factory=dict, hash=False)
    sigmas: tuple[float, ...] = ()

    def resolve(self, name: str) -> str | None:
        """Return the joint that a name means; case, spaces, ``-`` and ``camelCase`` do not count, None if none."""
        found = self._by_name.get(name)
        return self._by_name.get(_spelling(name)) if found is None else found

    def index(self, joint: str) -> int:
        """Return the place of a joint.

        Raises:
            ValueError: it is none of this schema.
        """
        return self.joints.index(joint)

    def of_group(self, group: str) -> tuple[str, ...]:
        """Return the joints of a group; all of them for ``all`` and for groups that the schema does not know."""
        return self.groups.get(group, self.joints)

    @cached_property
    def _by_name(self) -> Mapping[str, str]:
        """Joints by spelling, and as they are written."""
        spelled = {_spelling(alias): joint for alias, joint in self.aliases.items()}
        spelled |= {_spelling(joint): joint for joint in self.joints}
        return spelled | {joint: joint for joint in self.joints}

    @property
    def mirrored(self) -> tuple[int, ...]:
        """For each joint the place of the joint that it becomes when the picture is mirrored."""
        other = dict(self.pairs) | {b: a for a, b in self.pairs}
        return tuple(self.joints.index(other.get(joint, joint)) for joint in self.joints)


def load_schema(name: str) -> JointSchema:
    """Return a packaged schema by its name, or a user's from a YAML file.

    Raises:
        ConfigError: there is none of that name, or the file is none.
    """
    if name in SCHEMAS:
        return _packaged(name)
    path = Path(name)
    if path.suffix not in {".yaml", ".yml"}:
        near = did_you_mean(name, SCHEMAS)
        raise ConfigError(
            f"'{name}' is no pose schema", f"{near} There are {', '.join(SCHEMAS)}, or a YAML file of yours."
        )
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(
            f"pose schema {path} cannot be read: {error}", "Write it like those in docs/pose.md."
        ) from error
    return _schema(content, str(path))


def schema_text(schema: JointSchema) -> str:
    """Return a schema as the YAML that `load_schema` reads."""
    content = {
        "name": schema.name,
        "label": schema.label,
        "joints": list(schema.joints),
        "links": [list(link) for link in schema.links],
        "pairs": [list(pair) for pair in schema.pairs],
        "groups": {name: list(joints) for name, joints in schema.groups.items()},
        "aliases": dict(schema.aliases),
        "sigmas": dict(zip(schema.joints, schema.sigmas, strict=False)),
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


@lru_cache
def _packaged(name: str) -> JointSchema:
    text = files("agir_cvtoolkit").joinpath("conf", "joints", f"{name}.yaml").read_text(encoding="utf-8")
    return _schema(yaml.safe_load(text), name)


def _schema(content: object, where: str) -> JointSchema:
    wrong = "Write it like those in docs/pose.md."
    if not isinstance(content, dict):
        raise ConfigError(f"pose schema {where} is no mapping", wrong)
    unknown = set(content) - {"name", "label", "joints", "links", "pairs", "groups", "aliases", "sigmas"}
    if unknown:
        raise ConfigError(f"pose schema {where} has the unknown key '{sorted(map(str, unknown))[0]}'", wrong)
    try:
        joints = _texts(content["joints"])
        links = tuple(_two(pair) for pair in content.get("links") or ())
        pairs = tuple(_two(pair) for pair in content.get("pairs") or ()) or _sides(joints)
        groups = {str(key): _texts(value) for key, value in (content.get("groups") or {}).items()}
        aliases = {str(key): str(value) for key, value in (content.get("aliases") or {}).items()}
        given = {str(key): float(value) for key, value in (content.get("sigmas") or {}).items()}
        label = str(content.get("label") or "animal")
        name = str(content.get("name") or Path(where).stem)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"pose schema {where} is not complete: {error!r}", wrong) from error
    if not joints or len({_spelling(joint) for joint in joints}) != len(joints):
        raise ConfigError(f"pose schema {where} names no joints, or one twice", wrong)
    named = [*(j for pair in (*links, *pairs) for j in pair), *aliases.values(), *given]
    named += [joint for group in groups.values() for joint in group]
    for joint in named:
        if joint not in joints:
            near = did_you_mean(joint, joints)
            raise ConfigError(f"pose schema {where}: '{joint}' is none of its joints", near or wrong)
    if any(not 0 < value < 1 for value in given.values()):
        raise ConfigError(f"pose schema {where}: sigmas lie between 0 and 1", wrong)
    sigmas = tuple(given.get(joint, DEFAULT_SIGMA) for joint in joints)
    return JointSchema(name, label, joints, links, pairs, groups, aliases, sigmas)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise ValueError(f"{value!r} is no list of names")
    return tuple(value)


def _two(value: Any) -> tuple[str, str]:
    first, second = _texts(value)
    return first, second


def _sides(joints: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the pairs whose names say it."""
    return tuple(
        (joint, other)
        for joint in joints
        if joint.startswith("left_") and (other := f"right_{joint[5:]}") in joints
    )


def _spelling(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
