"""The group ``report``: what reports show, and how work is planned."""

from __future__ import annotations

from pydantic import Field

from ._base import Group


class Report(Group):
    """Settings of ``report``, ``dashboard`` and ``plan``; every key is described in ``conf/report/default.yaml``."""

    seconds_per_picture: float = Field(default=60.0, gt=0.0)
    longest_s: float = Field(default=600.0, gt=0.0)
    pictures: int = Field(default=12, ge=0, le=60)
    thumbnail: int = Field(default=480, ge=64, le=1600)
    refresh_s: float = Field(default=5.0, ge=1.0)
    cache_mb: int = Field(default=200, ge=1)
