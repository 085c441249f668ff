from __future__ import annotations

from pathlib import Path

import pytest

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.errors import CheckpointError, ConfigError, UsageError
from agir_cvtoolkit.inference.registry import Champion, checkpoint_of, open_predictor


def chosen(**model: str | None) -> SegInference:
    return SegInference.model_validate({"model": model})


def test_without_anything_it_is_excess_green() -> None:
    assert open_predictor(SegInference()).name == "excess_green"
    assert open_predictor(chosen(predictor="excess_green")).name == "excess_green"


def test_a_checkpoint_means_torch(tmp_path: Path) -> None:
    path = tmp_path / "best.pth"
    path.write_bytes(b"x")
    assert checkpoint_of(chosen(ckpt_path=str(path))) == path
    assert checkpoint_of(chosen(predictor="torch", ckpt_path=str(path))) == path
    assert checkpoint_of(chosen(predictor="champion"), Champion(path, "a1")) == path


def test_a_champion_that_vanished(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"champion a1 is no longer at .*best\.pth\. .* promote"):
        open_predictor(chosen(predictor="champion"), Champion(tmp_path / "best.pth", "a1"))


def test_torch_needs_a_checkpoint() -> None:
    with pytest.raises(ConfigError, match=r"needs seg_inference.model.ckpt_path"):
        open_predictor(chosen(predictor="torch"))


def test_no_champion_yet() -> None:
    with pytest.raises(UsageError, match="agir-cvtoolkit promote"):
        open_predictor(chosen(predictor="champion"))


def test_a_missing_checkpoint_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere.pth does not exist"):
        open_predictor(chosen(ckpt_path="nowhere.pth"))


@pytest.mark.parametrize("predictor", ["excess_green", "champion"])
def test_contradictions(predictor: str) -> None:
    with pytest.raises(ConfigError, match="takes no ckpt_path"):
        open_predictor(chosen(predictor=predictor, ckpt_path="a.pth"), Champion(Path("b.pth"), "b1"))


def test_a_colour_index_and_its_threshold_are_chosen_by_configuration() -> None:
    assert open_predictor(chosen(predictor="ngrdi")).name == "ngrdi-otsu"
    settings = SegInference.model_validate({"model": {"predictor": "exgr", "index_threshold": 0.2}})
    assert open_predictor(settings).name == "exgr-0.2"
    default = SegInference.model_validate({"model": {"index_threshold": "triangle"}})
    assert open_predictor(default).name == "excess_green-triangle"


@pytest.mark.parametrize("given", ["excess_gren", "torhc", "two words:here", "module:", ":Thing", "a.b"])
def test_unknown_predictors_end_the_configuration(given: str) -> None:
    with pytest.raises(ValueError, match=f"predictor '{given}' is unknown"):
        chosen(predictor=given)


def test_options_of_our_own_checkpoints_are_a_contradiction(tmp_path: Path) -> None:
    (tmp_path / "best.pth").write_bytes(b"x")
    settings = SegInference.model_validate(
        {"model": {"ckpt_path": str(tmp_path / "best.pth"), "options": {"arch": "unet"}}}
    )
    with pytest.raises(ConfigError, match="options are for predictors of your own and smp: checkpoints"):
        open_predictor(settings)


def test_device_and_precision_reach_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "best.pth"
    path.write_bytes(b"x")
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(
        "agir_cvtoolkit.inference.torch_predictor.open_torch", lambda *given: asked.append(given)
    )
    wanted = {"model": {"ckpt_path": str(path)}, "device": "cuda:1", "precision": "bf16"}
    open_predictor(SegInference.model_validate(wanted))
    assert asked == [(path, "cuda:1", "bf16")]
