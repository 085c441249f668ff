"""What the typed settings refuse beyond types."""

from __future__ import annotations

import pytest

from agir_cvtoolkit.config import load_settings
from agir_cvtoolkit.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("cvat_upload.project_id=true", "number, not true or false"),
        ("train.optimizer.lr=true", "number, not true or false"),
        ("cvat_upload.labels=[weed,Weed]", "labels must differ"),
        ("cvat_upload.labels=[]", "only with a project_id"),
        ("project.subname=b", "needs project.name"),
        ("seg_inference.source.db=nonsense", "'semif' or 'field'"),
    ],
)
def test_impossible_values_are_refused_with_their_key(override: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        load_settings([override])
    assert override.split(".", maxsplit=1)[0] in caught.value.problem


def test_a_project_needs_no_labels_of_its_own() -> None:
    assert load_settings(["cvat_upload.labels=[]", "cvat_upload.project_id=3"]).cvat_upload.labels == ()


def test_numbers_in_quotes_and_whole_numbers_for_floats_are_fine() -> None:
    settings = load_settings(["cvat_upload.project_id='5'", "cvat_upload.deadline_s=60"])
    assert settings.cvat_upload.project_id == 5
