"""``agir-cvtoolkit build-db``."""

from __future__ import annotations
