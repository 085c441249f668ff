"""A folder that stands in for Firestore and Cloud Storage: for laptops, demonstrations and tests."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agir_cvtoolkit.captures import PublishedModel
from agir_cvtoolkit.errors import DatabaseError, NotFoundError, PictureError
from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.runs import atomic_path, write_bytes

from ._embedded_captures import CaptureTable
from ._embedded_database import Database, decode, encode
from ._embedded_training import CorrectionTable, TriggerTable
from ._names import document_key, model_key, picture_key
from ._parted_store import PartedStore
from .fetching import fetched_key, write_fetched
from .training_documents import model_from_document, model_to_document


class EmbeddedStore(PartedStore):
    """Captures in a folder: a SQLite database and the files beside it.

    Several threads and processes may use one folder at a time. It keeps the documents that Firestore would have.

    Args:
        folder: made when it is not there.
        upload_threshold: below it a pose is uncertain.
        image_path: of a capture's picture within the folder ``bucket``; ``{pose_id}`` stands for the id.
        model_path: of a model's files there.

    Raises:
        DatabaseError: the folder cannot be made, or its database is damaged.
    """

    _captures: CaptureTable
    _corrections: CorrectionTable

    def __init__(
        self,
        folder: Path,
        *,
        upload_threshold: float = 0.6,
        image_path: str = "training_images/{pose_id}.jpg",
        model_path: str = "models/{version}/{file}",
    ) -> None:
        self._folder = Path(folder)
        self._image_path, self._model_path = image_path, model_path
        self._database = Database(self._folder / "captures.db")
        captures = CaptureTable(self._database, upload_threshold, self._put_picture)
        corrections, triggers = CorrectionTable(self._database), TriggerTable(self._database)
        super().__init__(captures, captures, corrections, triggers)

    @property
    def place(self) -> str:
        """The folder."""
        return str(self._folder)

    def file(self, key: str) -> Path:
        """Return where a file of the storage lies, by its key; it need not be there."""
        return self._folder.joinpath("bucket", *(file_stem(part) for part in key.split("/") if part))

    def put_document(self, collection: str, key: str, document: Mapping[str, Any]) -> None:
        """Put a raw document in, as a device or a stranger may write it, in the place of one of that name.

        Args:
            collection: ``uncertain_poses`` or ``labeled_data``.
            key: name of the document.
            document: anything that JSON knows; NaN too.

        Raises:
            ValueError: the collection is another.
        """
        if collection == "uncertain_poses":
            self._captures.insert(document_key(key), dict(document), instead=True)
        elif collection == "labeled_data":
            self._corrections.insert(document_key(key), dict(document))
        else:
            raise ValueError(f"no raw documents go into '{collection}'")

    def picture(self, capture_id: str, limit_bytes: int) -> bytes:
        """Return a capture's picture.

        Raises:
            NotFoundError: there is none.
            PictureError: it has more than `limit_bytes`.
        """
        path = self.file(picture_key(self._image_path, capture_id))
        try:
            with path.open("rb") as stream:
                content = stream.read(limit_bytes + 1)
        except OSError as error:
            raise NotFoundError(
                f"the picture of capture '{capture_id}' is not at {path}",
                "See that the device has sent it, and that firebase.image_path is right.",
            ) from error
        if len(content) > limit_bytes:
            raise PictureError(f"the picture of capture '{capture_id}' has more than {limit_bytes} bytes")
        return content

    def publish(self, model: PublishedModel, files: Mapping[str, Path]) -> PublishedModel:
        """Put a model's files into the storage, then the document, and make it the current one."""
        keys, sums = {}, {}
        for kind, path in files.items():
            keys[kind] = model_key(self._model_path, model.version, path.name)
            target = self.file(keys[kind])
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with atomic_path(target) as temporary:
                    shutil.copyfile(path, temporary)
                    with temporary.open("rb") as stream:
                        sums[kind] = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                raise DatabaseError(
                    f"{path} cannot be copied to {target}: {error.strerror}", "See that the disk is not full."
                ) from error
        made = replace(model, files=keys, sha256=sums, current=True)
        document = model_to_document(made)
        with self._database.write() as connection:
            for key, content in connection.execute(
                "SELECT id, document FROM models WHERE current = 1"
            ).fetchall():
                connection.execute(
                    "UPDATE models SET version = version + 1, current = 0, document = ? WHERE id = ?",
                    (encode(decode(content) | {"current": False}), key),
                )
            connection.execute(
                "INSERT OR REPLACE INTO models (id, version, document, current, made) VALUES (?, 1, ?, 1, ?)",
                (document_key(model.version), encode(document), document["timestamp"]),
            )
        return made

    def current_model(self) -> PublishedModel | None:
        """Return the model in service."""
        with self._database.read() as connection:
            row = connection.execute("SELECT id, document FROM models WHERE current = 1").fetchone()
        return None if row is None else model_from_document(row[0], decode(row[1]))

    def fetch_model(self, model: PublishedModel, kind: str, to: Path) -> None:
        """Fetch a file of a published model, whole or not at all."""
        place = self.file(fetched_key(model, kind))
        try:
            content = place.read_bytes()
        except OSError as error:
            raise NotFoundError(
                f"file {kind} of model {model.version} is not at {place}", "Publish the model again."
            ) from error
        write_fetched(model, kind, content, to)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _put_picture(self, capture_id: str, picture: bytes) -> None:
        path = self.file(picture_key(self._image_path, capture_id))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, picture)
        except OSError as error:
            raise DatabaseError(
                f"the picture of capture '{capture_id}' cannot be written to {path}: {error.strerror}",
                "See that the disk is not full and the folder may be written to.",
            ) from error

    def _remove_picture(self, capture_id: str) -> str | None:
        path = self.file(picture_key(self._image_path, capture_id))
        if not path.is_file():
            return None
        path.unlink()
        return str(path)
