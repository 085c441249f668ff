from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from agir_cvtoolkit.training.frozen_features import FrozenFeatures, embedding_of, key_of
from agir_cvtoolkit.training.frozen_head import ColumnHead, one_thread, resized
from agir_cvtoolkit.training.frozen_pixels import CELL, IGNORED, Labels, PixelLearner, PixelSettings, cells_of


def drawn(seed: int, side: int = 8) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(2, side >> n, side >> n)).astype(np.float16) for n in range(3)]


def test_maps_come_back_as_they_were(tmp_path: Path) -> None:
    store, reader = FrozenFeatures(tmp_path), FrozenFeatures(tmp_path)
    assert "a" not in reader
    for number, key in enumerate("ab"):
        store.append(key, drawn(number))
    for number, key in enumerate("ab"):
        for found, expected in zip(reader.maps(key), drawn(number), strict=True):
            assert found.dtype == np.float16
            np.testing.assert_array_equal(found, expected)
    with pytest.raises(KeyError):
        reader.maps("c")


def test_an_append_that_was_cut_off_is_not_seen_and_harms_no_other(tmp_path: Path) -> None:
    store = FrozenFeatures(tmp_path)
    store.append("a", drawn(0))
    with (tmp_path / "maps.f16").open("ab") as stream:
        stream.write(b"half")
    with (tmp_path / "index.jsonl").open("a") as stream:
        stream.write('{"key": "b", "at"')
    again = FrozenFeatures(tmp_path)
    assert "b" not in again
    again.append("c", drawn(2))
    again.append("d", drawn(3))
    np.testing.assert_array_equal(FrozenFeatures(tmp_path).maps("d")[0], drawn(3)[0])


def test_a_key_names_pixels_and_step() -> None:
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert len({key_of(black), key_of(white), key_of(black, 2), key_of(black.reshape(2, 8, 3))}) == 4


def test_an_embedding_has_length_one_and_both_maps_weigh_alike() -> None:
    found = embedding_of(drawn(1))
    assert found.shape == (4,)
    assert np.linalg.norm(found) == pytest.approx(1)
    assert np.linalg.norm(found[:2]) == pytest.approx(np.linalg.norm(found[2:]))


def test_single_columns_give_what_whole_maps_give() -> None:
    torch.manual_seed(0)
    head = ColumnHead(torch.rand(6), torch.rand(6) + 0.5, 5, 3)
    maps = [torch.from_numpy(level)[None].float() for level in drawn(4)]
    whole = head(maps)
    stacked = torch.cat([resized(level, (8, 8)) for level in maps], dim=1)[0].flatten(1).T
    torch.testing.assert_close(head.columns(stacked).T.reshape(3, 8, 8), whole[0], atol=1e-4, rtol=1e-4)


def test_cells_are_the_pixels_that_the_finest_features_lie_on() -> None:
    mask = np.arange(24 * 16).reshape(24, 16).astype(np.uint8)
    found = cells_of(mask)
    assert found.shape == (24 // CELL, 16 // CELL)
    assert found[0, 1] == mask[2, 10]


def test_a_learner_learns_alike_from_the_same_and_counts_known_cells_only(tmp_path: Path) -> None:
    store = FrozenFeatures(tmp_path)
    labels = []
    keys = [f"{number:016x}" for number in range(4)]
    for number, key in enumerate(keys):
        maps = drawn(number)
        labels.append((maps[0][0] > 0).astype(np.uint8))
        store.append(key, maps)
    labels[3][:4] = IGNORED
    learner = PixelLearner(store, keys, labels, 2, PixelSettings(steps=60, batch=64, lr=0.02))
    with one_thread():
        first, again = learner.learn([0, 1, 2], 7), learner.learn([2, 0, 1], 7)
        other = learner.learn([0, 1, 2], 8)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.first.weight, other.first.weight)
    assert learner.score(first, [3]).mean_iou > 0.7
    said = next(learner.probabilities(first, [3]))
    assert said.shape == (2, 8, 8)
    np.testing.assert_allclose(said.sum(axis=0), 1, atol=1e-5)


def test_variations_are_asked_for_once_and_learned_from_with_their_own_labels(tmp_path: Path) -> None:
    """Plain views of one class alone, the other one only in the variations: who learns from them knows both."""
    store = FrozenFeatures(tmp_path)
    maps, labels, asked = {}, {}, []
    for number in range(4):
        key = f"{number:016x}"
        maps[key] = drawn(number)
        labels[key] = (maps[key][0][0] > 0).astype(np.uint8)
        store.append(key, maps[key])
    plain, varied, test = (f"{number:016x}" for number in (0, 1, 3))

    def shown(place: int, count: int) -> list[tuple[str, Labels]]:
        asked.append((place, count))
        return [(varied, labels[varied])]

    settings = PixelSettings(steps=60, batch=64, lr=0.02, variations=2)
    none = np.zeros_like(labels[plain])
    with one_thread():
        seen = PixelLearner(store, [plain, test], [none, labels[test]], 2, settings, shown)
        unseen = PixelLearner(store, [plain, test], [none, labels[test]], 2, settings)
        heads = [seen.learn([0], seed) for seed in (1, 2)]
        poor = unseen.learn([0], 1)
    assert asked == [(0, 2)]
    assert next(unseen.probabilities(poor, [1])).argmax(axis=0).max() == 0
    for head in heads:
        assert next(seen.probabilities(head, [1])).argmax(axis=0).max() == 1
        assert seen.score(head, [1]).mean_iou > unseen.score(poor, [1]).mean_iou
