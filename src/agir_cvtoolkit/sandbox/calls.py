"""One request under way, and the world that it acts on."""

from __future__ import annotations

import email.parser
import email.policy
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import orjson

from .answers import PageRefusal, Refusal, not_found
from .generation import Generation
from .options import SandboxOptions
from .store import Json, Store

if TYPE_CHECKING:
    from .workers import Workers


@dataclass(frozen=True)
class World:
    """What every request shares."""

    options: SandboxOptions
    store: Store
    workers: Workers

    @cached_property
    def generation(self) -> Generation:
        """What the played version can do."""
        return self.options.generation


@dataclass(frozen=True)
class Context:
    """The organization a request speaks in.

    Attributes:
        given: whether the request names one at all; without, everything is visible.
        organization: its id, or None for the personal workspace.
    """

    given: bool = False
    organization: int | None = None


@dataclass(frozen=True)
class Call:
    """A request, authenticated and with its body read.

    Attributes:
        ids: the numbers and names in the path.
        query: query parameters; of a repeated one the last.
        headers: by lower-case name.
        origin: scheme and host as the client wrote them, for links.
        user: the account, empty for anonymous calls.
    """

    world: World
    method: str
    path: str
    ids: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    origin: str
    user: Json
    context: Context = field(default_factory=Context)
    body: bytes = b""

    @property
    def store(self) -> Store:
        """The state."""
        return self.world.store

    @property
    def generation(self) -> Generation:
        """What the played version can do."""
        return self.world.generation

    @property
    def key(self) -> int:
        """The number in the path."""
        return int(self.ids[0])

    def load(self, kind: str) -> Json:
        """Return the object that the path names.

        Raises:
            Refusal: 404, there is none.
        """
        found = self.store.get(kind, self.key)
        if found is None:
            raise not_found(kind.capitalize())
        return found

    def json_object(self) -> Json:
        """Return the body as an object; no body is an empty one.

        Raises:
            Refusal: 400 for what is no JSON, 415 for another media type, 500 for JSON that is no object.
        """
        if not self.body:
            return {}
        kind = self.headers.get("content-type", "application/octet-stream").split(";")[0].strip().lower()
        if kind == "application/x-www-form-urlencoded":
            return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))
        if kind == "multipart/form-data":
            return _small_form(self.headers["content-type"], self.body)
        if kind not in {"application/json", "application/vnd.cvat+json"}:
            raise Refusal(415, {"detail": f'Unsupported media type "{kind}" in request.'})
        try:
            content: object = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise Refusal(400, {"detail": f"JSON parse error - {error}"}) from error
        if not isinstance(content, dict):
            raise PageRefusal(500)
        return content


def _small_form(content_type: str, body: bytes) -> Json:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1")
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    fields: Json = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            fields[name] = payload.decode("utf-8", "replace")
    return fields
