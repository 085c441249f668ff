"""A published model comes back as it was put in, from either store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agir_cvtoolkit.captures import PublishedModel
from agir_cvtoolkit.errors import DataError, NotFoundError
from agir_cvtoolkit.firebase import CaptureStore

pytestmark = pytest.mark.integration


def test_a_published_file_is_fetched_whole_or_not_at_all(store: CaptureStore, tmp_path: Path) -> None:
    weights = tmp_path / "best.pth"
    weights.write_bytes(b"weights" * 100_000)
    made = datetime(2026, 1, 1, tzinfo=UTC)
    model = store.publish(PublishedModel("v1", "dog24", made), {"pth": weights})
    to = tmp_path / "fetched" / "best.pth"
    store.fetch_model(model, "pth", to)
    assert to.read_bytes() == weights.read_bytes()
    with pytest.raises(NotFoundError, match="without onnx"):
        store.fetch_model(model, "onnx", tmp_path / "none")
    with pytest.raises(NotFoundError):
        store.fetch_model(replace(model, files={"pth": "models/v9/best.pth"}), "pth", tmp_path / "none")
    with pytest.raises(DataError, match="not what was published"):
        store.fetch_model(replace(model, sha256={"pth": "0" * 64}), "pth", tmp_path / "none")
    assert not (tmp_path / "none").exists()
