"""Everything that speaks to Firestore and Cloud Storage, and the folder that stands in for both.

Only this room imports Google's libraries, and only when a real store is opened.
"""

from ._names import picture_key
from .app_uploads import AppUpload, from_app_upload
from .detections import read_poses, with_picture_size
from .documents import capture_from_document, capture_to_document
from .embedded import EmbeddedStore
from .opening import open_store
from .store import CaptureCounts, CaptureStore, Written
from .training_documents import (
    labeled_from_document,
    labeled_to_document,
    same_keypoints,
    trigger_to_document,
)

__all__ = [
    "AppUpload",
    "CaptureCounts",
    "CaptureStore",
    "EmbeddedStore",
    "Written",
    "capture_from_document",
    "capture_to_document",
    "from_app_upload",
    "labeled_from_document",
    "labeled_to_document",
    "open_store",
    "picture_key",
    "read_poses",
    "same_keypoints",
    "trigger_to_document",
    "with_picture_size",
]
