"""The command lines and documents of the second seed, as printed; only paths and hosts are replaced by who runs them."""

from __future__ import annotations

from collections.abc import Mapping

SETUP = """\
# Copy pipeline to GPUSRV
scp -r firebase_cvat_pipeline/ gpusrv.tailfdc654.ts.net:~/

# Setup environment
ssh gpusrv.tailfdc654.ts.net
cd ~/firebase_cvat_pipeline
bash gpusrv_setup.sh

# Install Python dependencies
pip3 install -r requirements.txt
"""

CREDENTIALS = """\
# Copy your Firebase service account key
scp /path/to/service-account-key.json gpusrv.tailfdc654.ts.net:~/.firebase/

# Update firebase_to_cvat_transfer.py with your bucket name
# Line 32: 'storageBucket': 'your-project-id.appspot.com'
"""

TRANSFER = """\
# On GPUSRV - Pull uncertain poses
python3 firebase_to_cvat_transfer.py \\
  --service-account ~/.firebase/service-account.json \\
  --limit 25 \\
  --priority 7 \\
  --output-dir /data/cvat-annotations
"""

OPTIONS = """\
- `--limit`: Maximum images to transfer (default: 50)
- `--priority`: Minimum uncertainty priority 1-10 (default: 5)
- `--output-dir`: Local output directory (default: /data/cvat-annotations)
- `--gpusrv-host`: GPUSRV hostname (default: gpusrv.tailfdc654.ts.net)
"""

CVAT = """\
# Start CVAT server
docker run -dit --name cvat_server --restart=always \\
  -p 8080:8080 \\
  -v /data/cvat-data:/home/django/data \\
  -v /data/cvat-annotations:/home/django/keys \\
  -v /data/cvat-exports:/home/django/models \\
  cvat/server

# Access CVAT web interface
# http://gpusrv.tailfdc654.ts.net:8080
"""

PROJECT = "DataDogs Pose Estimation"
JOINTS = ("head", "forelegs", "hindlegs", "trunk", "tail")

RETURN = """\
# Export CVAT annotations to XML
# Download from CVAT interface or use API

# Upload corrected keypoints back to Firebase
python3 cvat_to_firebase_return.py \\
  --service-account ~/.firebase/service-account.json \\
  --annotations /data/cvat-exports/annotations.xml \\
  --trigger-retraining
"""

UNCERTAIN_POSE = """\
{
  "id": "pose_uuid",
  "confidence": 0.3,
  "priority": 8,
  "status": "pending|in_progress|completed",
  "deviceId": "device_uuid",
  "timestamp": "2025-09-11T...",
  "detectedPoses": [...],
  "jointGroup": "all"
}
"""

LABELED = """\
{
  "id": "cvat_pose_uuid_timestamp",
  "originalDataId": "pose_uuid",
  "correctedKeypoints": {"head": {"x": 100, "y": 200}, ...},
  "qualityScore": 0.95,
  "source": "cvat",
  "timestamp": "2025-09-11T..."
}
"""

TRIGGER = """\
{
  "type": "cvat_batch_upload",
  "labeled_data_count": 25,
  "trigger_threshold": 10,
  "timestamp": "2025-09-11T..."
}
"""

SETTINGS = """\
# Line 32: Update with your Firebase project
'storageBucket': 'datadogs-pose-estimation.appspot.com'

# Line 319: Update storage path if different
image_path = f"training_images/{pose_id}.jpg"
"""

THRESHOLDS = """\
# Minimum confidence for uncertain poses
MIN_CONFIDENCE = 0.3

# Priority calculation (1-10 scale)
# Higher priority = more uncertain = needs annotation first
priority = int((threshold - confidence) / threshold * 10) + 1

# Retraining trigger threshold
RETRAINING_THRESHOLD = 10  # annotations
"""

DAILY = """\
# Morning: Pull overnight uncertain poses (priority 6+)
python3 firebase_to_cvat_transfer.py \\
  --service-account ~/.firebase/service-account.json \\
  --limit 50 --priority 6

# Afternoon: Annotate in CVAT web interface
# Evening: Upload completed annotations
python3 cvat_to_firebase_return.py \\
  --service-account ~/.firebase/service-account.json \\
  --annotations /data/cvat-exports/daily_batch.xml \\
  --trigger-retraining
"""

EMERGENCY = """\
# Critical poses only (priority 8+)
python3 firebase_to_cvat_transfer.py \\
  --service-account ~/.firebase/service-account.json \\
  --limit 10 --priority 8
"""

MANIFEST = """\
# View manifest of transferred images
cat /data/cvat-annotations/transfer_manifest.json

# Check Firebase status updates
# Monitor uncertain_poses collection status field
"""

PROGRESS = """\
# CVAT project statistics
curl http://gpusrv.tailfdc654.ts.net:8080/api/v1/projects

# Firebase labeled_data count
# Monitor labeled_data collection size
"""

CONNECTION = """\
# Check CVAT container status
docker ps | grep cvat

# Restart CVAT if needed
docker restart cvat_server
"""

DEBUG = """\
# Run with verbose logging
python3 -u firebase_to_cvat_transfer.py \\
  --service-account ~/.firebase/service-account.json \\
  --limit 5 --priority 9 2>&1 | tee debug.log
"""

BASH = (SETUP, CREDENTIALS, TRANSFER, CVAT, RETURN, DAILY, EMERGENCY, MANIFEST, PROGRESS, CONNECTION, DEBUG)


def commands(block: str, replaced: Mapping[str, str] | None = None) -> list[str]:
    """Return the command lines of a block, each as printed but for the replacements."""
    text = block
    for old, new in (replaced or {}).items():
        assert old in text
        text = text.replace(old, new)
    joined = text.replace("\\\n", "\\\0")
    lines = [line.replace("\\\0", "\\\n") for line in joined.splitlines()]
    return [line for line in lines if line.strip() and not line.startswith("#")]
