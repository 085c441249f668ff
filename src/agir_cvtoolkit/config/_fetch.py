"""The group ``fetch``: pictures staged from slow storage."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ._base import Group


class Fetch(Group):
    """Where pictures are staged, and how they are brought."""

    cache_dir: Path | None = None
    cache_gb: float = Field(default=50.0, gt=0, allow_inf_nan=False)
    workers: int = Field(default=8, ge=1, le=64)
    attempts: int = Field(default=4, ge=1, le=20)

    @property
    def cache_bytes(self) -> int:
        """The bound of the cache."""
        return int(self.cache_gb * 1e9)

    def folder(self, out_root: Path) -> Path:
        """Return the folder of the cache.

        Args:
            out_root: of the runs; it lies beside them where nothing else is said.
        """
        return (self.cache_dir or out_root.parent / "cache").expanduser()
