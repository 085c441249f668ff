"""Everything that speaks to Firestore and Cloud Storage, and the folder that stands in for both.

Only this room imports Google's libraries, and only when a real store is opened.
"""

from .store import CaptureCounts, CaptureStore, Written

__all__ = ["CaptureCounts", "CaptureStore", "Written"]
