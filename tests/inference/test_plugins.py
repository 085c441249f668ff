"""Predictors of others, from a package on the path."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.errors import ConfigError, DataError
from agir_cvtoolkit.inference.plugins import load_plugin
from agir_cvtoolkit.inference.registry import open_predictor
from agir_cvtoolkit.inference.segment import segment

_PACKAGE = '''
import numpy as np
from types import SimpleNamespace

class Bright:
    """Calls plant what is brighter than a level."""
    name = "bright@1"
    classes = ("background", "plant")
    class_ids = (0, 255)
    needs_tiles = True

    def __init__(self, level=128):
        self.level = level

    def working_size(self, size):
        return size

    def predict_tiles(self, batch):
        plant = (batch.mean(axis=3) > self.level).astype(np.float32)
        return np.stack([1 - plant, plant], axis=1)

class Whole:
    name, classes, class_ids, needs_tiles = "whole@1", ("background", "a", "b"), (0, 3, 7), False

    def predict_bands(self, rgb):
        for top in range(0, len(rgb), 40):
            rows = rgb[top : top + 40]
            yield SimpleNamespace(top=top, probabilities=np.full((3, *rows.shape[:2]), 1 / 3, dtype=np.float64))

ready = Bright(100)

class Bad(Bright):
    def __init__(self, **changes):
        super().__init__()
        for key, value in changes.items():
            setattr(self, key, value)

class Wrong(Bright):
    def __init__(self, how):
        super().__init__()
        self.how = how

    def predict_tiles(self, batch):
        found = super().predict_tiles(batch)
        return {"nan": found * np.nan, "shape": found[:, :1], "sum": found * 2, "negative": found * 3 - 1,
                "type": found.tolist(), "integers": found.astype(int)}[self.how]

class Gap(Whole):
    def __init__(self, first=0, last=None):
        super().__init__()
        self.first, self.last = first, last

    def predict_bands(self, rgb):
        yield from list(super().predict_bands(rgb))[self.first : self.last]

def broken(**_):
    raise RuntimeError("no weights")
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's package on the path; its name."""
    folder = tmp_path / "their_models"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "bright.py").write_text(_PACKAGE)
    (folder / "torn.py").write_text("raise OSError('no such disk')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("their_models")]:
        monkeypatch.delitem(sys.modules, name)
    return "their_models.bright"


def settings(predictor: str, **options: Any) -> SegInference:
    return SegInference.model_validate(
        {"model": {"predictor": predictor, "options": options}, "tile": {"height": 64, "width": 64}}
    )


def test_a_predictor_from_a_package_on_the_path_segments(package: str) -> None:
    rgb = np.zeros((90, 130, 3), dtype=np.uint8)
    rgb[20:60, 30:100] = 150
    for level, share in ((128, 40 * 70 / rgb[..., 0].size), (200, 0.0)):
        chosen = settings(f"{package}:Bright", level=level)
        predictor = open_predictor(chosen)
        assert predictor.name == "bright@1"
        assert segment(predictor, rgb, chosen).foreground_share == pytest.approx(share, abs=0.02)


def test_objects_and_predictors_of_whole_pictures_do_too(package: str) -> None:
    assert open_predictor(settings(f"{package}:ready")).name == "bright@1"
    found = open_predictor(settings(f"{package}:Whole"))
    assert found.class_ids == (0, 3, 7)
    assert segment(found, np.zeros((90, 50, 3), dtype=np.uint8), SegInference()).index.shape == (90, 50)


@pytest.mark.parametrize(
    ("attribute", "options", "words"),
    [
        ("Brigth", {}, "no 'Brigth' in it. Did you mean 'Bright'"),
        ("ready", {"level": 3}, "takes no options"),
        ("Bright", {"lvl": 3}, "does not start with the options"),
        ("broken", {}, "RuntimeError: no weights"),
        ("_PACKAGE", {}, "no '_PACKAGE'"),
        ("np", {}, "is no predictor: its name is no text; its classes"),
        ("Bad", {"name": ""}, "its name is no text"),
        ("Bad", {"classes": ("plant",)}, "its classes are not a tuple of two or more"),
        ("Bad", {"class_ids": (0, 256)}, "class_ids"),
        ("Bad", {"class_ids": (1, 2)}, "class_ids"),
        ("Bad", {"class_ids": (0, 0)}, "class_ids"),
        ("Bad", {"needs_tiles": 1}, "neither True nor False"),
        (
            "Bad",
            {"predict_tiles": None, "working_size": 3},
            "no method predict_tiles; it has no method working_size",
        ),
        ("Bad", {"needs_tiles": False}, "no method predict_bands"),
    ],
)
def test_what_is_no_predictor_is_refused(
    package: str, attribute: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        load_plugin(f"{package}:{attribute}", options)


def test_packages_that_cannot_be_imported(package: str) -> None:
    with pytest.raises(ConfigError, match=r"No module named 'nowhere_at_all'. .*PYTHONPATH"):
        open_predictor(settings("nowhere_at_all:Bright"))
    with pytest.raises(ConfigError, match="OSError: no such disk"):
        open_predictor(settings("their_models.torn:Bright"))
    assert package


@pytest.mark.parametrize("how", ["nan", "shape", "sum", "negative", "type", "integers"])
def test_what_it_predicts_is_checked(package: str, how: str) -> None:
    chosen = settings(f"{package}:Wrong", how=how)
    with pytest.raises(DataError, match="predictor bright@1 gave"):
        segment(open_predictor(chosen), np.full((64, 64, 3), 200, dtype=np.uint8), chosen)


@pytest.mark.parametrize("part", [{"first": 1}, {"last": 1}])
def test_bands_without_gap_are_checked(package: str, part: dict[str, int]) -> None:
    chosen = settings(f"{package}:Gap", **part)
    with pytest.raises(DataError, match="predictor whole@1 gave"):
        segment(open_predictor(chosen), np.zeros((90, 50, 3), dtype=np.uint8), chosen)


def test_a_checkpoint_beside_it_is_a_contradiction(package: str) -> None:
    chosen = SegInference.model_validate(
        {"model": {"predictor": f"{package}:Bright", "ckpt_path": "best.pth"}}
    )
    with pytest.raises(ConfigError, match="takes no ckpt_path"):
        open_predictor(chosen)


def test_the_example_of_the_documentation_is_a_predictor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(# their_models/bright\.py\n.*?)^```", page, re.M | re.S)
    (tmp_path / "documented_models").mkdir()
    (tmp_path / "documented_models" / "bright.py").write_text(example)
    monkeypatch.syspath_prepend(str(tmp_path))
    chosen = settings("documented_models.bright:Bright", level=90)
    rgb = np.full((64, 64, 3), 100, dtype=np.uint8)
    assert segment(open_predictor(chosen), rgb, chosen).foreground_share == 1
