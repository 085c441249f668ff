"""The YAML of the first seed works verbatim as the user's ``conf/cvat_upload/default.yaml``."""

from __future__ import annotations

from pathlib import Path

import pytest

from agir_cvtoolkit.config import load_credentials, load_settings

BASIC = """\
# conf/cvat_upload/default.yaml
project_id: 319384  # Existing project (inherits labels)
organization_slug: PSA

task_name: null  # Auto-generated from run_id

labels:  # Only used if NOT in a project
  - "weed"

mask_strategy: "mask"  # "mask" | "polygon"
"""
SOURCE = """\
source:
  type: "segmentations"  # "segmentations" | "detections"
  db: "semif"
"""
LABEL_MAP = """\
label_map:
  # Map database fields to CVAT labels
  category_common_name: "{value}"  # Use field value as label
  # OR
  _default: "weed"  # All images get this label
"""
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
BY_FIELD = """\
label_map:
  category_common_name: "{value}"
"""
FIXED = """\
label_map:
  _default: "weed"
"""
MIXED = """\
label_map:
  category_common_name: "{value}"
  _default: "unknown"
"""
STANDALONE = """\
project_id: null
labels:
  - "barley"
  - "wheat"
  - "hairy_vetch"
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
        BASIC,
        {"project_id": 319384, "organization_slug": "PSA", "task_name": None, "labels": ["weed"]},
    ),
    "source": (SOURCE, {"source": {"type": "segmentations", "db": "semif"}}),
    "label map": (LABEL_MAP, {"label_map": {"category_common_name": "{value}", "_default": "weed"}}),
    "segmentations": (SEGMENTATIONS, {"source": {"type": "segmentations", "db": "semif"}}),
    "detections": (DETECTIONS, {"source": {"type": "detections", "db": "semif"}}),
    "by field": (BY_FIELD, {"label_map": {"category_common_name": "{value}"}}),
    "fixed": (FIXED, {"label_map": {"_default": "weed"}}),
    "mixed": (MIXED, {"label_map": {"category_common_name": "{value}", "_default": "unknown"}}),
    "project": ("project_id: 319384\n", {"project_id": 319384}),
    "standalone": (STANDALONE, {"project_id": None, "labels": ["barley", "wheat", "hairy_vetch"]}),
    "all of it": (BASIC + "\n" + SOURCE + "\n" + LABEL_MAP, {"mask_strategy": "mask", "project_id": 319384}),
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
