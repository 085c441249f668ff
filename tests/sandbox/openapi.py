"""The sandbox's answers against CVAT's own description of its interface (OpenAPI 3.0), where that is at hand.

It lies beside the folder that ``AGIR_SHARED_DATA`` names, in ``reference/``. The check is stricter than the
description: a field that it does not know is wrong, and one that it knows may be missing only where
`_OPTIONAL` says so.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import orjson
import pytest
import yaml
from starlette.requests import Request
from starlette.responses import Response

from agir_cvtoolkit.sandbox.app import Application

_VERSION = "2.42.0"
_LONGEST_LIST = 20

_OPTIONAL = {
    "Label": {"svg", "project_id", "task_id"},
    "TaskRead": {
        "data",
        "size",
        "image_quality",
        "data_chunk_size",
        "data_compressed_chunk_type",
        "data_original_chunk_type",
    },
    "RequestDataOperation": {"function_id"},
    "WebhookRead": {"last_status", "last_delivery_date"},
    "TaskValidationLayoutRead": {
        "validation_frames",
        "disabled_frames",
        "honeypot_count",
        "honeypot_frames",
        "honeypot_real_frames",
    },
    "JobValidationLayoutRead": {"honeypot_count", "honeypot_frames", "honeypot_real_frames"},
}
"""Fields that a real 2.42 server was seen to leave out, by schema."""

_NULL = {"DataMetaRead": {"chunks_updated_date"}}
"""Fields that a real 2.42 server was seen to leave empty: of a task without data."""

_ANSWERED = {"put": "LabeledData", "patch": "LabeledData"}
"""What a real 2.42 server was seen to answer to writes of annotations, where the description names nothing."""


def description_path() -> Path | None:
    folder = os.environ.get("AGIR_SHARED_DATA")
    if not folder:
        return None
    path = Path(folder).parent / "reference" / "cvat_openapi_2.42.yml"
    return path if path.is_file() else None


class Description:
    """What answers look like.

    Attributes:
        wrong: what has been found since the last `take`.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._schemas = {
            name: _json_schema(schema, name) for name, schema in content["components"]["schemas"].items()
        }
        self._operations = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path.rstrip("/")) + "/?"), methods)
            for path, methods in sorted(content["paths"].items(), key=lambda item: "{" in item[0])
        ]
        self._validators: dict[str, jsonschema.Draft202012Validator] = {}
        self._known: set[object] = set()
        self._lock = threading.Lock()
        self._wrong: list[str] = []
        self.checked = 0

    def take(self) -> list[str]:
        """Return what was found wrong and forget it."""
        with self._lock:
            wrong, self._wrong = self._wrong, []
        return wrong

    def observe(self, method: str, path: str, status: int, body: bytes) -> None:
        """Check one answer with JSON in it."""
        content = _shortened(orjson.loads(body))
        sign = (method, re.sub(r"\d+", "0", path), status, _signature(content))
        with self._lock:
            if sign in self._known:
                return
            self._known.add(sign)
        found = self.errors(method, path, status, content)
        with self._lock:
            self._wrong += [f"{method} {path} -> {status}: {text}" for text in found]

    def errors(self, method: str, path: str, status: int, content: object) -> list[str]:
        """Return what is wrong with an answer."""
        operation = next((m for regex, m in self._operations if regex.fullmatch(path)), None)
        if operation is None or method.lower() not in operation:
            return [f"{_VERSION} has no such operation"]
        answers = operation[method.lower()]["responses"]
        if str(status) not in answers:
            return [f"the status should be one of {', '.join(answers)}"]
        kinds = answers[str(status)].get("content") or {}
        if not kinds and path.rstrip("/").endswith("/annotations") and method.lower() in _ANSWERED:
            kinds = {"": {"schema": {"$ref": f"#/components/schemas/{_ANSWERED[method.lower()]}"}}}
        if not kinds:
            return [] if content in ({}, None, "") else ["there should be no content"]
        schema = next(iter(kinds.values()))["schema"]
        self.checked += 1
        return [
            f"{'.'.join(map(str, error.absolute_path)) or 'the answer'}: {error.message[:300]}"
            for error in self._validator(schema).iter_errors(content)
        ]

    def _validator(self, schema: Mapping[str, Any]) -> jsonschema.Draft202012Validator:
        key = orjson.dumps(schema).decode()
        if key not in self._validators:
            whole = _json_schema(schema, "") | {"components": {"schemas": self._schemas}}
            self._validators[key] = jsonschema.Draft202012Validator(whole, format_checker=_FORMATS)
        return self._validators[key]


_FORMATS = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@_FORMATS.checks("uri")
def _is_address(value: object) -> bool:
    return not isinstance(value, str) or bool(urlsplit(value).scheme)


def _json_schema(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Turn a schema of OpenAPI 3.0 into JSON Schema: null spelled out, nothing unknown, nothing missing."""
    found: dict[str, Any] = {
        key: value
        for key, value in schema.items()
        if key
        in {"type", "enum", "format", "pattern", "maxLength", "minLength", "maximum", "minimum", "$ref"}
    }
    for key in ("allOf", "anyOf", "oneOf"):
        if key in schema:
            found[key] = [_json_schema(part, "") for part in schema[key]]
    if "items" in schema:
        found["items"] = _json_schema(schema["items"], "")
    if "properties" in schema:
        read = {key: part for key, part in schema["properties"].items() if not part.get("writeOnly")}
        found["properties"] = {
            key: _json_schema({**part, "nullable": True} if key in _NULL.get(name, ()) else part, "")
            for key, part in read.items()
        }
        found["required"] = sorted(set(read) - _OPTIONAL.get(name, set()))
        found["additionalProperties"] = False
    # An enumeration with a null beside it would match null twice.
    if "oneOf" in found:
        found["anyOf"] = found.pop("oneOf")
    return {"anyOf": [found, {"type": "null"}]} if schema.get("nullable") else found


def _shortened(content: Any) -> Any:
    if isinstance(content, list):
        return [_shortened(item) for item in content[:_LONGEST_LIST]]
    if isinstance(content, dict):
        return {key: _shortened(value) for key, value in content.items()}
    return content


def _signature(content: Any) -> object:
    """Return what distinguishes contents that need a look each: their fields, types, and short words."""
    if isinstance(content, dict):
        return tuple((key, _signature(value)) for key, value in content.items())
    if isinstance(content, list):
        return tuple(dict.fromkeys(_signature(item) for item in content))
    if isinstance(content, str) and content.replace("_", "").isalpha() and len(content) < 20:
        return content
    return type(content).__name__


def load_description() -> Description | None:
    """Read the description; None where it is not at hand."""
    path = description_path()
    if path is None:
        return None
    with path.open("rb") as stream:
        return Description(yaml.load(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


@pytest.fixture(scope="session")
def description() -> Iterator[Description | None]:
    """The description, with every answer of a 2.42 sandbox held against it from here on."""
    found = load_description()
    if found is None:
        yield None
        return
    original = Application.answer

    async def observed(self: Application, request: Request) -> Response:
        response = await original(self, request)
        body = getattr(response, "body", b"")
        kind = response.media_type or ""
        if 200 <= response.status_code < 300 and "json" in kind and self.version == _VERSION:
            path = request.url.path.replace("/api/v1/", "/api/")
            found.observe(request.method, path, response.status_code, bytes(body))
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Application, "answer", observed)
        yield found


@pytest.fixture(autouse=True)
def answers_as_described(description: Description | None) -> Iterator[None]:
    """Fail the test during which a sandbox answered otherwise than the description says."""
    yield
    wrong = [] if description is None else description.take()
    if wrong:
        pytest.fail("answers otherwise than described:\n" + "\n".join(wrong))
