"""Ids of captures as names of documents and of files in the bucket."""

from __future__ import annotations

import re

from agir_cvtoolkit.records import file_stem

_MAX_BYTES = 1500
_RESERVED = re.compile(r"__.*__", re.DOTALL)


def document_key(item_id: str) -> str:
    """Return the name of an item's document: its id, or a safe form with a hash where Firestore takes no such name.

    Firestore's names have no ``/``, are not ``.``, ``..`` or ``__x__``, and have at most 1,500 bytes of UTF-8.
    """
    encoded = item_id.encode("utf-8", "surrogatepass")
    surrogates = any("\ud800" <= letter <= "\udfff" for letter in item_id)
    if (
        not item_id
        or "/" in item_id
        or item_id in {".", ".."}
        or "\0" in item_id
        or surrogates
        or _RESERVED.fullmatch(item_id)
        or len(encoded) > _MAX_BYTES
    ):
        # A slash forces the safe form with its hash, also where the id alone would be a fine file name.
        return file_stem(f"{item_id}/")
    return item_id


def own_id(key: str, said: object) -> str:
    """Return the id of a document: what its field ``id`` says, where that is what its name was made from."""
    return said if isinstance(said, str) and said != key and document_key(said) == key else key


def picture_key(template: str, item_id: str) -> str:
    """Return the name of a capture's picture in the bucket."""
    return template.replace("{pose_id}", document_key(item_id))


def model_key(template: str, version: str, file_name: str) -> str:
    """Return the name of a model's file in the bucket."""
    return template.replace("{version}", document_key(version)).replace("{file}", file_name)
