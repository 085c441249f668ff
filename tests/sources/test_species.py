"""The species table, as AgIR writes it and as a CSV."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.sources.species import Species, SpeciesTable

INFO = {
    "species": {
        "ABTH": {"class_id": 1, "USDA_symbol": "ABTH", "common_name": "velvetleaf", "rgb": [0.5, 0.0, 1.0]},
        "AMPA": {"class_id": 2, "common_name": "Palmer amaranth", "hex": "#ff8000", "rgb": [1, 1, 1]},
        "plant": {"class_id": None, "common_name": "plant", "rgb": [300, 0, 0]},
    }
}


def test_species_by_class_and_by_name(tmp_path: Path) -> None:
    path = tmp_path / "species_info.json"
    path.write_text(json.dumps(INFO))
    table = SpeciesTable.read(path)
    velvetleaf = Species(1, "velvetleaf", "ABTH", (128, 0, 255))
    assert table.find(1, None) == velvetleaf
    assert table.find(255, " Velvetleaf ") == table.find(255, "abth") == velvetleaf
    assert table.find(255, "palmer_amaranth") == Species(2, "Palmer amaranth", "AMPA", (255, 128, 0))
    assert table.find(255, "PLANT") == Species(255, "plant", "PLANT", None)
    assert table.find(99, "rye") is None
    assert table.find(255, None) is None


def test_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "species.csv"
    path.write_text('class_id,common_name,rgb\n3,maize,"[10, 20, 30]"\n4,rye,\n')
    table = SpeciesTable.read(path)
    assert table.find(3, None) == Species(3, "maize", "", (10, 20, 30))
    assert table.find(255, "rye") == Species(4, "rye")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "damaged"),
        ("[1, 2]", "no species table"),
        ('{"species": 5}', "no species table"),
        ("{}", "names no species"),
        ('[{"class_id": 1, "common_name": "a"}, {"class_id": 1, "common_name": "b"}]', "class 1 is a and b"),
    ],
)
def test_what_is_no_species_table(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "species_info.json"
    path.write_text(content)
    with pytest.raises(DataError, match=said) as caught:
        SpeciesTable.read(path)
    assert str(path) in caught.value.problem
    assert "io.lts_species_info" in caught.value.next_step
    with pytest.raises(DataError, match="cannot be read"):
        SpeciesTable.read(tmp_path / "none.json")
