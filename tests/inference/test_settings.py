from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

import agir_cvtoolkit
from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.config._inference import RETIRED


def packaged() -> str:
    return (Path(agir_cvtoolkit.__file__).parent / "conf/seg_inference/default.yaml").read_text(
        encoding="utf-8"
    )


def test_the_packaged_file_says_what_the_model_says() -> None:
    assert yaml.safe_load(packaged()) == SegInference().model_dump(mode="json")


def test_every_key_is_explained() -> None:
    keys = [line for line in packaged().splitlines() if line.startswith(("  ", "device", "batch"))]
    assert all("#" in line for line in keys)


@pytest.mark.parametrize("side", ["height", "width"])
def test_tiles_are_multiples_of_32(side: str) -> None:
    with pytest.raises(ValidationError, match="take 992"):
        SegInference.model_validate({"tile": {side: 1000}})


@pytest.mark.parametrize("device", ["gpu", "cuda:x", ""])
def test_unknown_devices(device: str) -> None:
    with pytest.raises(ValidationError):
        SegInference.model_validate({"device": device})


@pytest.mark.parametrize("key", RETIRED)
def test_retired_keys_are_refused(key: str) -> None:
    tree: object = "anything"
    for part in reversed(key.split(".")[1:]):
        tree = {part: tree}
    with pytest.raises(ValidationError, match="Extra inputs"):
        SegInference.model_validate(tree)


def test_numbers_and_texts_name_a_precision() -> None:
    assert SegInference.model_validate({"precision": 32}) == SegInference.model_validate({"precision": "32"})
    with pytest.raises(ValidationError):
        SegInference.model_validate({"precision": 64})
