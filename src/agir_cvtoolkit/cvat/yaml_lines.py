"""YAML of which every part knows its file, line and key, so that every complaint can name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import yaml

from agir_cvtoolkit.errors import ConfigError, did_you_mean

_MOST_PARTS = 200_000
_NOTHING = "tag:yaml.org,2002:null"
_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True)
class Part:
    """One part of a YAML file.

    Attributes:
        file: as the reader knows it.
        key: how it is reached, such as ``labels[2].color``.
    """

    node: yaml.Node
    file: str
    key: str

    @property
    def where(self) -> str:
        """File, line and key."""
        line = self.node.start_mark.line + 1
        return f"{self.file}, line {line}" + (f", {self.key}" if self.key else "")

    @property
    def is_nothing(self) -> bool:
        """Nothing was written."""
        return isinstance(self.node, yaml.ScalarNode) and self.node.tag == _NOTHING

    @property
    def is_text(self) -> bool:
        """It is a single word or sentence."""
        return isinstance(self.node, yaml.ScalarNode) and not self.is_nothing

    def wrong(self, problem: str, next_step: str = "") -> NoReturn:
        """Complain about this part.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{self.where}: {problem}", next_step)

    def mapping(self, known: Sequence[str]) -> dict[str, Part]:
        """Return the parts of a mapping by key.

        Raises:
            ConfigError: it is none, a key stands twice, or is none of `known`.
        """
        if not isinstance(self.node, yaml.MappingNode):
            self.wrong("keys with values are expected here", f"Keys are {', '.join(known)}.")
        found: dict[str, Part] = {}
        for key_node, value in self.node.value:
            name = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            here = Part(value, self.file, f"{self.key}.{name}" if self.key else name)
            at_key = Part(key_node, self.file, here.key)
            if name not in known:
                hint = did_you_mean(name, known)
                at_key.wrong(f"there is no key '{name}' here", hint or f"Keys are {', '.join(known)}.")
            if name in found:
                at_key.wrong(f"the key '{name}' stands twice", "Remove one of them.")
            found[name] = here
        return found

    def items(self) -> list[Part]:
        """Return the parts of a list.

        Raises:
            ConfigError: it is none.
        """
        if not isinstance(self.node, yaml.SequenceNode):
            self.wrong("a list is expected here", "Begin each item with '- ', or write [one, two].")
        return [Part(node, self.file, f"{self.key}[{i}]") for i, node in enumerate(self.node.value)]

    def text(self, longest: int) -> str:
        """Return what is written, without space around it: ``no`` is the word no, ``07`` is 07.

        Raises:
            ConfigError: it is empty, a list or a mapping, or has more than `longest` characters.
        """
        if not isinstance(self.node, yaml.ScalarNode):
            self.wrong("one word or sentence is expected here")
        value = str(self.node.value).strip()
        if self.is_nothing or not value:
            self.wrong("it is empty", 'Write something; what begins with # needs quotes: "#1f77b4".')
        if len(value) > longest:
            self.wrong(f"it has {len(value)} characters; CVAT takes {longest}", "Shorten it.")
        if any(ord(letter) < 32 and letter != "\n" for letter in value) or "\x7f" in value:
            self.wrong("it has a control character", "Remove it.")
        return value

    def flag(self) -> bool:
        """Return true or false.

        Raises:
            ConfigError: it is neither.
        """
        found = _FLAGS.get(str(self.node.value).lower()) if self.is_text else None
        if found is None:
            self.wrong("true or false is expected here")
        return found

    def choice(self, known: Sequence[str]) -> str:
        """Return one of some words.

        Raises:
            ConfigError: it is none of them.
        """
        word = self.text(200)
        if word not in known:
            self.wrong(f"'{word}' is none of {', '.join(known)}", did_you_mean(word, known))
        return word


def read_yaml(text: str, file: str) -> Part:
    """Read YAML text; nothing in it is made into an object.

    Raises:
        ConfigError: it is no YAML, empty, several documents, or grows without bounds by its own aliases.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error) or type(error).__name__
        raise ConfigError(f"{file}{line}: this is no YAML: {problem}", "Correct it.") from error
    if node is None:
        raise ConfigError(
            f"{file} is empty", "Write it like those that agir-cvtoolkit cvat-project list names."
        )
    _check_size(node, file)
    return Part(node, file, "")


def _check_size(root: yaml.Node, file: str) -> None:
    """Count as if every alias were written out, without doing it."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, depth: int) -> int:
        if depth > 50:
            raise ConfigError(f"{file} is nested too deeply", "Write it plainly.")
        if id(node) not in sizes:
            sizes[id(node)] = _MOST_PARTS + 1  # of what holds itself
            inner: list[yaml.Node] = []
            if isinstance(node, yaml.SequenceNode):
                inner = node.value
            elif isinstance(node, yaml.MappingNode):
                inner = [part for pair in node.value for part in pair]
            sizes[id(node)] = 1 + sum(size(part, depth + 1) for part in inner)
        return sizes[id(node)]

    if size(root, 0) > _MOST_PARTS:
        raise ConfigError(f"{file} is larger than any project", "Write it without aliases.")
