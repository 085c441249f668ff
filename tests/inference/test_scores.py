from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.inference.colour_predictor import ColourPredictor
from agir_cvtoolkit.inference.ensemble import TileEnsemble, ensemble_of
from agir_cvtoolkit.inference.predictor import RGB, Probabilities
from agir_cvtoolkit.inference.registry import open_predictor
from agir_cvtoolkit.inference.scores import SINGLE_PASS, ScoreGrid
from agir_cvtoolkit.inference.segment import Segmented, segment

from .test_tiling import Pixelwise, picture


def scored(plant: list[list[float]], *wanted: str, share: float = 0.01) -> dict[str, float]:
    foreground = np.array(plant, dtype=np.float32)
    grid = ScoreGrid(foreground.shape, 0.5, share)
    grid.add(0, np.stack([1 - foreground, foreground]))
    return dict(grid.scores(2, (), wanted))


def segmented(predictor: object, rgb: RGB, **uncertainty: object) -> Segmented:
    ensemble = uncertainty.pop("ensemble", ())
    settings = {
        "uncertainty": uncertainty,
        "model": {"ensemble": ensemble},
        "tile": {"height": 64, "width": 64},
    }
    return segment(predictor, rgb, SegInference.model_validate(settings))  # type: ignore[arg-type]


def test_only_doubt_beside_a_border_counts_for_boundary() -> None:
    spread = [[0.0, 0.0, 0.0, 1.0, 1.0, 0.5]]  # in doubt inside the leaf, sure of its edge
    edge = [[0.0, 0.0, 0.5, 1.0, 1.0, 1.0]]
    assert scored(spread, "boundary")["boundary"] == pytest.approx(0.0, abs=1e-4)
    assert scored(edge, "boundary")["boundary"] == pytest.approx(0.5, abs=1e-4)
    assert scored([[0.1, 0.2]], "boundary")["boundary"] == 0  # no border at all


@pytest.mark.parametrize(("share", "expected"), [(0.25, 1.0), (0.5, 0.75), (1e-6, 1.0), (1.0, 0.375)])
def test_top_k_looks_at_the_most_doubtful_pixels(share: float, expected: float) -> None:
    found = scored([[0.5, 0.11002786], [0.0, 0.0]], "top_k", share=share)  # entropies 1, .5, 0, 0
    assert found["top_k"] == pytest.approx(expected, abs=1e-3)


def test_sure_soil_does_not_make_a_doubtful_plant_look_sure() -> None:
    assert scored([[0.0] * 98 + [1.0, 0.5]], "entropy")["entropy"] == pytest.approx(0.5, abs=1e-4)
    assert 0 < scored([[0.001] * 50], "entropy")["entropy"] < 0.05


def test_one_pass_keeps_all_scores_and_the_shares_of_the_classes() -> None:
    found = segmented(ColourPredictor(), picture(90, 110))
    assert set(found.scores) == set(SINGLE_PASS)
    assert found.scores["entropy"] == pytest.approx(found.uncertainty, abs=1e-6)
    assert found.class_shares == {"plant": pytest.approx(found.foreground_share, abs=1e-6)}


def test_of_large_pictures_a_grid_comes_close() -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:2000, :1500] / 300
    plant = (0.5 + 0.5 * np.sin(rows) * np.cos(columns) + rng.normal(0, 0.02, rows.shape)).clip(0, 1)
    planes = np.stack([1 - plant, plant]).astype(np.float32)
    grid, whole = ScoreGrid(plant.shape, 0.5, 0.01), ScoreGrid((1, 1), 0.5, 0.01)
    for top in range(0, 2000, 77):
        grid.add(top, planes[:, top : top + 77])
    whole.add(0, planes)
    near, exact = grid.scores(2, (), SINGLE_PASS), whole.scores(2, (), SINGLE_PASS)
    for name in ("entropy", "margin", "top_k"):
        assert near[name] == pytest.approx(exact[name], abs=0.01)


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(0, 1, width=32)),
    st.integers(1, 4),
)  # fmt: skip
def test_scores_lie_between_0_and_1_however_the_bands_are_cut(plant: np.ndarray, rows: int) -> None:
    planes = np.stack([1 - plant, plant])
    grid = ScoreGrid(plant.shape, 0.5, 0.01)
    for top in range(0, plant.shape[0], rows):
        grid.add(top, planes[:, top : top + rows])
    found = grid.scores(2, (), SINGLE_PASS)
    assert found == scored(plant.tolist(), *SINGLE_PASS)
    assert all(0 <= value <= 1 for value in found.values())


class Surer(Pixelwise):
    """Says the opposite where the other one is in doubt."""

    name = "surer"

    def predict_tiles(self, batch: RGB) -> Probabilities:
        said = super().predict_tiles(batch)
        return said[:, ::-1].copy()


def test_models_beside_each_other_tell_where_they_disagree() -> None:
    rgb = picture(90, 110)
    alone = segmented(Pixelwise(), rgb)
    same = segmented(ensemble_of(Pixelwise(), [Pixelwise()]), rgb, ensemble=["a"])
    other = segmented(ensemble_of(Pixelwise(), [Surer()]), rgb, ensemble=["a"])
    assert np.array_equal(alone.index, other.index)  # masks are the first one's
    assert same.scores["ensemble"] == pytest.approx(0, abs=1e-5)
    assert other.scores["ensemble"] > 0.01
    assert other.scores["entropy"] == alone.scores["entropy"]


def test_looks_and_models_are_told_apart() -> None:
    rgb = picture(90, 110)
    alone = segmented(Pixelwise(), rgb, scores=["disagreement"])
    both = segmented(
        ensemble_of(Pixelwise(), [Surer()]), rgb, scores=["disagreement"], score="ensemble", ensemble=["a"]
    )
    assert both.scores["disagreement"] == pytest.approx(alone.scores["disagreement"], abs=1e-6)
    assert both.uncertainty == pytest.approx(both.scores["ensemble"], abs=1e-6)
    assert both.scores["ensemble"] > 2 * both.scores["disagreement"]


def test_models_of_other_classes_are_refused() -> None:
    with pytest.raises(ConfigError, match="excess_green cannot stand beside pixelwise"):
        ensemble_of(Pixelwise(), [ColourPredictor()])


def test_colour_indices_are_named_and_checked() -> None:
    settings = SegInference.model_validate({"model": {"ensemble": ["exgr", "ngrdi"]}})
    found = open_predictor(settings)
    assert found.name == "excess_green"
    assert not isinstance(found, TileEnsemble)
    assert 0 < segment(found, picture(90, 110), settings).scores["ensemble"] < 1
    with pytest.raises(ValidationError, match=r"seg_inference\.model\.ensemble"):
        SegInference.model_validate({"uncertainty": {"score": "ensemble"}})


def test_amount_counts_doubt_over_all_pixels() -> None:
    found = scored([[0.5, 0.0], [0.0, 0.0]], "amount")
    assert found["amount"] == pytest.approx(0.25, abs=1e-3)
