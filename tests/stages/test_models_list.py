"""``models list`` and ``models show``: what a model was made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from agir_cvtoolkit import Call, models_list, models_show
from agir_cvtoolkit.cli import main
from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.ledger import DatasetVersion, Ledger

ROOT = Path("outputs/runs")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models: one of a data set with a parent, one that nothing is known of."""
    monkeypatch.chdir(tmp_path)
    Path("best.pth").write_bytes(b"weights")
    card = {
        "trained_on": {"dataset": "feed02"},
        "configuration": {"max_epochs": 3, "loss": {"dice": 0.5}},
        "commit": "c0ffee",
        "metrics": {"val_iou": 0.5},
    }
    with Ledger.open(None, ROOT) as ledger:
        for version, parent in (("feed01", None), ("feed02", "feed01")):
            made = DatasetVersion(
                version, "a", parent, "/data", {}, 7, 7, {"train": 30}, ("background", "plant"), (9, 1)
            )
            ledger.record_dataset(made, [])
        ledger.record_model("abc111", str(Path("best.pth").resolve()), "unet", "a", card)
        ledger.record_model("abd222", "/gone/best.pth", "fpn", None, {"metrics": {}})
        ledger.record_evaluation("abc111", {"test_iou": 0.75}, "frozen")
        ledger.promote("abc111")


def test_a_model_is_shown_with_its_whole_origin() -> None:
    shown = models_show("abc")
    assert (shown.commit, shown.dataset, shown.lineage) == ("c0ffee", "feed02", ("feed01",))
    assert shown.dataset_version is not None
    assert shown.dataset_version.pictures == 7
    assert shown.model.metrics == {"test_iou": 0.75}
    assert shown.there
    assert shown == models_show()
    other = models_show("abd222")
    assert (other.there, other.dataset_version, other.lineage, other.commit) == (False, None, (), "")


def test_what_is_not_one_model_is_refused() -> None:
    with pytest.raises(UsageError, match="several models begin with ab"):
        models_show("ab")
    with pytest.raises(UsageError, match="knows no model zzz"):
        models_show("zzz")


def test_the_commands_print_it() -> None:
    listed = CliRunner().invoke(main, ["models", "list"])
    assert listed.exit_code == 0
    lines = listed.output.splitlines()
    assert len(lines) == 3
    assert "test_iou 0.750  champion" in next(line for line in lines if "abc111" in line)
    shown = CliRunner().invoke(main, ["models", "show", "abc"])
    for words in ("c0ffee", "feed02: 7 pictures, 30 tiles", "feed01", "loss.dice = 0.5", "test_iou"):
        assert words in shown.output
    found = json.loads(CliRunner().invoke(main, ["models", "show", "abc", "--json"]).output)
    assert found["commit"] == "c0ffee"


def test_an_empty_registry_says_what_comes_first(tmp_path: Path) -> None:
    empty = Call(overrides=(f"io.out_root={tmp_path / 'other' / 'runs'}",))
    assert models_list(empty).models == ()
    with pytest.raises(UsageError, match="no model is in service"):
        models_show(call=empty)
