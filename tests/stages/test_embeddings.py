from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.choosing import Region
from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.pictures import load_small, sha256_of
from agir_cvtoolkit.stages._embeddings import Pictured, embeddings_of


@pytest.fixture
def pictures(tmp_path: Path) -> list[Pictured]:
    """Green leaves, the same a little brighter, and red soil."""
    rng = np.random.default_rng(0)
    leaves = rng.integers(0, 60, (90, 120, 3)).astype(np.uint8)
    leaves[20:60, 30:90, 1] += 120
    soil = rng.integers(0, 40, (90, 120, 3)).astype(np.uint8)
    soil[..., 0] += 150
    found = []
    for name, pixels in (("a", leaves), ("b", leaves + 6), ("c", soil)):
        path = tmp_path / f"{name}.png"
        Image.fromarray(pixels).save(path)
        found.append(Pictured(sha256_of(path), path))
    return found


@pytest.mark.parametrize("model", ["layout", "efficientnet_lite0"])
def test_what_looks_alike_lies_close_together(tmp_path: Path, pictures: list[Pictured], model: str) -> None:
    found = embeddings_of(pictures, tmp_path / "outputs" / "runs", model)
    assert found is not None
    assert (found.model, found.made) == (model, 3)
    alike = found.rows.astype(np.float32) @ found.rows.astype(np.float32).T
    assert np.allclose(np.diag(alike), 1, atol=2e-3)
    assert alike[0, 1] > 0.97 > 0.9 > alike[0, 2]
    folders = [p.name for p in (tmp_path / "outputs" / "embeddings").iterdir()]
    assert folders == [f"{model}@{found.version}"]


def test_a_picture_is_embedded_once(tmp_path: Path, pictures: list[Pictured]) -> None:
    runs = tmp_path / "outputs" / "runs"
    first = embeddings_of(pictures[:2], runs, "layout")
    twice = embeddings_of([*pictures[::-1], pictures[0]], runs, "layout")
    assert first is not None
    assert twice is not None
    assert (first.made, twice.made) == (2, 1)
    assert np.array_equal(twice.rows[[3, 1]], first.rows)


def test_a_region_has_an_embedding_of_its_own(tmp_path: Path, pictures: list[Pictured]) -> None:
    whole = pictures[0]
    regions = [Pictured(whole.sha256, whole.path, Region(*box)) for box in ((0, 0, 40, 40), (40, 20, 40, 40))]
    found = embeddings_of([whole, *regions], tmp_path / "runs", "layout")
    assert found is not None
    assert len({row.tobytes() for row in found.rows}) == 3


def test_a_picture_that_cannot_be_read_is_told(tmp_path: Path, pictures: list[Pictured]) -> None:
    broken = Pictured("0" * 64, tmp_path / "gone.png")
    found = embeddings_of([broken, pictures[0]], tmp_path / "runs", "layout")
    assert found is not None
    assert "gone.png" in found.failed[0]
    assert not found.rows[0].any()
    assert found.made == 1


def test_none_and_unknown_models(tmp_path: Path, pictures: list[Pictured]) -> None:
    assert embeddings_of(pictures, tmp_path / "runs", "none") is None
    with pytest.raises(ConfigError, match="encoder 'effcientnet' is unknown"):
        embeddings_of(pictures, tmp_path / "runs", "effcientnet")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_small_pictures_are_read_squeezed(tmp_path: Path, suffix: str) -> None:
    pixels = np.zeros((300, 500, 3), dtype=np.uint8)
    pixels[150:, :250] = (200, 40, 0)
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", quality=95)
    small = load_small(tmp_path / f"a.{suffix}", 32)
    assert small.shape == (32, 32, 3)
    assert np.abs(small[20:30, 2:14].reshape(-1, 3).mean(axis=0) - (200, 40, 0)).max() < 4
    assert small[2:14].max() < 12
