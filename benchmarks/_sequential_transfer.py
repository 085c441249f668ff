"""The loop of today: one download after another, then one batch of writes; with Google's libraries alone.

With ``--careful`` it does per capture, one after another, what a transfer must do to lose nothing and double nothing:
claim it by its version, check that the picture decodes, write the file whole, say that it is transferred.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore, storage
from PIL import Image


def main() -> None:
    options = _options()
    client = firestore.Client(project=options.project, credentials=AnonymousCredentials())
    bucket = storage.Client(project=options.project, credentials=AnonymousCredentials()).bucket(
        options.bucket
    )
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    query = (
        client.collection("uncertain_poses")
        .where(filter=firestore.FieldFilter("status", "==", "pending"))
        .where(filter=firestore.FieldFilter("priority", ">=", 1))
        .order_by("priority", direction=firestore.Query.DESCENDING)
        .order_by("timestamp")
        .limit(options.limit)
    )
    snapshots = list(query.stream())
    images = [_one(client, bucket, snapshot, folder, careful=options.careful) for snapshot in snapshots]
    (folder / "transfer_manifest.json").write_text(
        json.dumps({"total_images": len(images), "images": images}, indent=2, default=str)
    )
    done = {"status": "in_progress", "annotation_platform": "CVAT", "gpusrv_transfer": True}
    if not options.careful:
        for start in range(0, len(snapshots), 500):
            batch = client.batch()
            for snapshot in snapshots[start : start + 500]:
                batch.update(snapshot.reference, done | {"annotation_started": firestore.SERVER_TIMESTAMP})
            batch.commit()


def _one(client: Any, bucket: Any, snapshot: Any, folder: Path, *, careful: bool) -> dict[str, object]:
    reference = snapshot.reference
    if careful:
        until = datetime.now(UTC) + timedelta(minutes=30)
        taken = reference.update(
            {"status": "in_progress", "claimedBy": "loop", "claimedUntil": until},
            option=client.write_option(last_update_time=snapshot.update_time),
        )
    path = folder / f"{snapshot.id}.jpg"
    bucket.blob(f"training_images/{snapshot.id}.jpg").download_to_filename(str(path))
    if careful:
        with Image.open(path) as image:
            image.load()
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(path.read_bytes())
        temporary.replace(path)
        reference.update(
            {"annotation_started": datetime.now(UTC), "claimedBy": firestore.DELETE_FIELD},
            option=client.write_option(last_update_time=taken.update_time),
        )
    document = snapshot.to_dict()
    return {
        "filename": path.name,
        "firebase_id": snapshot.id,
        "detected_poses": document.get("detectedPoses", []),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("project")
    parser.add_argument("bucket")
    parser.add_argument("folder")
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--careful", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
