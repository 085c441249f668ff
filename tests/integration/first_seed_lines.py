"""The command lines of the first seed, as printed; only ids and the path of the checkpoint are replaced."""

from __future__ import annotations

from collections.abc import Mapping

BASIC = """\
# 1. Run inference with images saved
agir-cvtoolkit infer-seg -o seg_inference.output.save_images=true

# 2. Upload to CVAT
agir-cvtoolkit upload-cvat
"""

EXISTING_PROJECT = """\
agir-cvtoolkit upload-cvat \\
  -o cvat_upload.project_id=319384 \\
  -o cvat_upload.organization_slug=PSA
"""

STANDARD = """\
# Complete pipeline
agir-cvtoolkit query --db semif --filters "state=NC" --limit 100
agir-cvtoolkit infer-seg -o seg_inference.output.save_images=true
agir-cvtoolkit upload-cvat
"""

SPECIFIC_PROJECT = """\
agir-cvtoolkit upload-cvat \\
  -o cvat_upload.project_id=12345 \\
  -o cvat_upload.organization_slug=my-org
"""

TASK_NAME = """\
agir-cvtoolkit upload-cvat \\
  -o cvat_upload.task_name="Barley_Batch_2024-11"
"""

DETECTIONS = """\
# Upload detection boxes instead of masks
agir-cvtoolkit upload-cvat \\
  -o cvat_upload.source.type=detections
"""

IMAGES_SAVED = """\
# Ensure inference saved images
agir-cvtoolkit infer-seg \\
  -o seg_inference.output.save_images=true
"""

POLYGON_AND_MASK = """\
# Use polygon format (works everywhere)
agir-cvtoolkit upload-cvat \\
  -o cvat_upload.mask_strategy=polygon

# Use mask format (CVAT 2.0+, more accurate)
agir-cvtoolkit upload-cvat \\
  -o cvat_upload.mask_strategy=mask
"""

ORGANIZATIONS = """\
# Upload to organization workspace
agir-cvtoolkit upload-cvat \\
  -o cvat_upload.organization_slug=my-team

# Upload to personal workspace
agir-cvtoolkit upload-cvat \\
  -o cvat_upload.organization_slug=null
"""

WORKFLOW = """\
# 1. Query and infer
agir-cvtoolkit query --db semif \\
  --sample "stratified:by=category_common_name,per_group=50"
agir-cvtoolkit infer-seg \\
  -o seg_inference.output.save_images=true

# 2. Upload to CVAT
agir-cvtoolkit upload-cvat \\
  -o cvat_upload.project_id=12345

# 3. [Annotators refine in CVAT web interface]

# 4. Download refined annotations
agir-cvtoolkit download-cvat \\
  -o cvat_download.project_id=12345 \\
  -o cvat_download.required_status=completed

# 5. Train on refined data
agir-cvtoolkit preprocess
agir-cvtoolkit train
"""

ITERATIVE = """\
# Round 1: Initial masks
agir-cvtoolkit infer-seg -o seg_inference.output.save_images=true
agir-cvtoolkit upload-cvat -o cvat_upload.task_name="Round1_Barley"

# [Refine in CVAT]
agir-cvtoolkit download-cvat
agir-cvtoolkit train

# Round 2: Improved model
agir-cvtoolkit infer-seg \\
  -o seg_inference.model.ckpt_path=outputs/.../model/best.pth \\
  -o seg_inference.output.save_images=true
agir-cvtoolkit upload-cvat -o cvat_upload.task_name="Round2_Barley"
"""

PROJECT_OPTION = "-o cvat_upload.project_id=YOUR_PROJECT_ID"
IMAGES_OPTION = "-o seg_inference.output.save_images=true"
NAME_OPTION = '-o cvat_upload.task_name="Barley_NC_November_2024"'

SETTINGS = """\
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

FIXED_LABEL = """\
label_map:
  _default: "weed"
"""

FIELD_LABEL = """\
label_map:
  category_common_name: "{value}"
"""

MIXED_LABEL = """\
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

SIX_FIELDS = ("total_records", "uploaded_annotations", "skipped", "failed", "task_id", "task_url")


def commands(block: str, replaced: Mapping[str, str] | None = None) -> list[str]:
    """Return the command lines of a block, each as printed but for the replacements."""
    text = block
    for old, new in (replaced or {}).items():
        assert old in text
        text = text.replace(old, new)
    joined = text.replace("\\\n", "\\\0")
    lines = [line.replace("\\\0", "\\\n") for line in joined.splitlines()]
    return [line for line in lines if line.startswith("agir-cvtoolkit ")]
