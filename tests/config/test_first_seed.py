"""The YAML of the first seed works verbatim as the user's ``conf/cvat_upload/default.yaml``."""

from __future__ import annotations

from pathlib import Path

import pytest

from agir_cvtoolkit.config import load_credentials, load_settings
from tests.integration.first_seed_lines import (
    FIELD_LABEL,
    FIXED_LABEL,
    LABEL_MAP,
    MIXED_LABEL,
    SETTINGS,
    SOURCE,
    STANDALONE,
)

SEGMENTATIONS = """\
source:
  type: "segmentations"
  db: "semif"  # For metadata
"""
DETECTIONS = """\
source:
  type: "detections"
  db: "semif"
"""
KEYS = """\
cvat:
  url: "https://app.cvat.ai"
  username: "your_username"
  password: "your_password"
"""
SELF_HOSTED = """\
cvat:
  url: "http://localhost:8080"
  username: "admin"
  password: "admin123"
"""

BLOCKS: dict[str, tuple[str, dict[str, object]]] = {
    "basic": (
        SETTINGS,
        {"project_id": 319384, "organization_slug": "PSA", "task_name": None, "labels": ["weed"]},
    ),
    "source": (SOURCE, {"source": {"type": "segmentations", "db": "semif"}}),
    "label map": (LABEL_MAP, {"label_map": {"category_common_name": "{value}", "_default": "weed"}}),
    "segmentations": (SEGMENTATIONS, {"source": {"type": "segmentations", "db": "semif"}}),
    "detections": (DETECTIONS, {"source": {"type": "detections", "db": "semif"}}),
    "by field": (FIELD_LABEL, {"label_map": {"category_common_name": "{value}"}}),
    "fixed": (FIXED_LABEL, {"label_map": {"_default": "weed"}}),
    "mixed": (MIXED_LABEL, {"label_map": {"category_common_name": "{value}", "_default": "unknown"}}),
    "project": ("project_id: 319384\n", {"project_id": 319384}),
    "standalone": (STANDALONE, {"project_id": None, "labels": ["barley", "wheat", "hairy_vetch"]}),
    "all of it": (
        SETTINGS + "\n" + SOURCE + "\n" + LABEL_MAP,
        {"mask_strategy": "mask", "project_id": 319384},
    ),
}


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_saved_as_the_users_file_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: str
) -> None:
    monkeypatch.chdir(tmp_path)
    text, expected = BLOCKS[block]
    target = tmp_path / "conf" / "cvat_upload" / "default.yaml"
    target.parent.mkdir(parents=True)
    target.write_text(text)
    found = load_settings().dump("cvat_upload")["cvat_upload"]
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("text", "url", "username", "password"),
    [
        (KEYS, "https://app.cvat.ai", "your_username", "your_password"),
        (SELF_HOSTED, "http://localhost:8080", "admin", "admin123"),
    ],
)
def test_a_block_saved_as_the_keys_file_works(
    tmp_path: Path, text: str, url: str, username: str, password: str
) -> None:
    path = tmp_path / "default.yaml"
    path.write_text(text)
    found = load_credentials(path, {})
    assert (found.base_url, found.username, found.password) == (url, username, password)
