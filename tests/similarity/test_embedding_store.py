from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agir_cvtoolkit.similarity.embedding_store import EmbeddingStore


def rows(*firsts: float) -> np.ndarray:
    return np.array([[first, 1.0, -1.0] for first in firsts], dtype=np.float32)


def test_what_was_kept_comes_back_by_its_key(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path / "a", 3)
    assert store.missing(["x", "y"]) == [0, 1]
    assert store.rows([]).shape == (0, 3)
    store.append(["x", "y"], rows(0.5, 0.25))
    store.append(["z"], rows(2))
    again = EmbeddingStore(tmp_path / "a", 3)
    assert again.missing(["z", "w", "x"]) == [1]
    assert again.rows(["z", "x", "z"])[:, 0].tolist() == [2.0, 0.5, 2.0]
    with pytest.raises(KeyError):
        again.rows(["w"])


def test_two_that_append_the_same_keep_the_first(tmp_path: Path) -> None:
    one, other = EmbeddingStore(tmp_path, 3), EmbeddingStore(tmp_path, 3)
    assert other.missing(["x"]) == [0]
    one.append(["x"], rows(1))
    other.append(["x", "y"], rows(5, 6))
    assert one.rows(["x", "y"])[:, 0].tolist() == [1.0, 6.0]


@pytest.mark.parametrize(("name", "size"), [("rows.f16", 6 + 4), ("keys.bin", 32 + 7)])
def test_an_append_that_was_cut_off_is_made_again(tmp_path: Path, name: str, size: int) -> None:
    EmbeddingStore(tmp_path, 3).append(["x", "y"], rows(1, 2))
    with (tmp_path / name).open("r+b") as stream:
        stream.truncate(size)
    store = EmbeddingStore(tmp_path, 3)
    assert store.missing(["x", "y"]) == [1]
    store.append(["y", "z"], rows(3, 4))
    assert EmbeddingStore(tmp_path, 3).rows(["x", "y", "z"])[:, 0].tolist() == [1.0, 3.0, 4.0]
