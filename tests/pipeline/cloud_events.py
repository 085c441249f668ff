"""Events of Firestore as Google's Eventarc delivers them: headers `ce-…`, and the document as protobuf.

The headers are those of a recorded delivery, the body is the message google.events.cloud.firestore.v1.DocumentEventData:
field 1 is the document after the write, field 2 the one before, each encoded as google.firestore.v1.Document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import urllib3

RECORDED = {
    "ce-id": "3a0fa6b6-4f57-4f0b-9a9d-1c6a4f0f31a5",
    "ce-specversion": "1.0",
    "ce-source": "//firestore.googleapis.com/projects/{project}/databases/(default)",
    "ce-type": "google.cloud.firestore.document.v1.{kind}",
    "ce-subject": "documents/{path}",
    "ce-time": "2025-09-11T08:30:01.123456Z",
    "ce-project": "{project}",
    "ce-database": "(default)",
    "ce-namespace": "(default)",
    "ce-location": "nam5",
    "ce-document": "{path}",
    "ce-dataschema": "https://github.com/googleapis/google-cloudevents/blob/main/proto/google/events/cloud/firestore/v1/data.proto",
    "content-type": "application/protobuf",
}


def headers(kind: str, path: str, project: str, event_id: str = "") -> dict[str, str]:
    """Return the headers of an event: what kind (created, written), of which document."""
    made = {name: text.format(kind=kind, path=path, project=project) for name, text in RECORDED.items()}
    return made | ({"ce-id": event_id} if event_id else {})


def body(after: Mapping[str, Any] | None, before: Mapping[str, Any] | None = None) -> bytes:
    """Return the message of an event."""
    return b"".join(
        _field(number, fields) for number, fields in ((1, after), (2, before)) if fields is not None
    )


def _field(number: int, fields: Mapping[str, Any]) -> bytes:
    from google.cloud.firestore_v1._helpers import encode_dict
    from google.cloud.firestore_v1.types import Document

    content: bytes = Document.serialize(Document(fields=encode_dict(dict(fields))))
    return bytes([number << 3 | 2]) + _length(len(content)) + content


def _length(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def deliver(url: str, event: Mapping[str, str], content: bytes) -> int:
    """Send an event to a function; return the status."""
    return int(
        urllib3.request("POST", url, headers=dict(event), body=content, timeout=180, retries=False).status
    )
