from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from agir_cvtoolkit.config._training import RETIRED, Preprocess, Train


@pytest.mark.parametrize(("group", "model"), [("preprocess", Preprocess), ("train", Train)])
def test_the_packaged_file_shows_every_key_with_its_default(group: str, model: type[Any]) -> None:
    text = (files("agir_cvtoolkit") / "conf" / group / "default.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == model().model_dump(mode="json")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"split": {"train": 0.5, "val": 0.1, "test": 0.1}}, "sum to 0.7"),
        ({"grid_crop": {"enabled": False}}, "resize.enabled"),
        ({"grid_crop": {"stride": 600}}, "gaps"),
        ({"resize": {"enabled": True}, "pad": {"enabled": False}}, "pad.enabled"),
        ({"source": {"type": "custom"}}, "custom_images_dir"),
        ({"scale": 0}, "greater than 0"),
    ],
)
def test_impossible_preprocessing_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Preprocess(**values)


def test_retired_keys_are_not_keys() -> None:
    groups = {"preprocess": Preprocess().model_dump(), "train": Train().model_dump()}
    for dotted in RETIRED:
        value: Any = groups
        for part in dotted.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        assert value is None, dotted
