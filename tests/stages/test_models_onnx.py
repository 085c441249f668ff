"""``models onnx``: the run's model, or a checkpoint, as a file that runs without torch."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from agir_cvtoolkit import Call, models_onnx
from agir_cvtoolkit.cli import main
from agir_cvtoolkit.errors import CheckpointError, NoRunError
from agir_cvtoolkit.models.card import ModelCard
from agir_cvtoolkit.models.checkpoint import save_checkpoint
from agir_cvtoolkit.models.onnx_export import CARD_KEY
from agir_cvtoolkit.models.registry import build
from agir_cvtoolkit.runs import start_run
from tests.models.test_exports import small


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model of the current run."""
    monkeypatch.chdir(tmp_path)
    run = start_run(Path("outputs/runs"), "field")
    spec = small("fpn")
    card = ModelCard(spec.title, "", spec, ("background", "crop", "weed"), (0, 1, 2), tile_size=(64, 64))
    save_checkpoint(run.path("model", "best.pth"), build(spec), card)
    return run.path("model", "best.pth").resolve()


def test_the_model_of_the_run_is_written_beside_it(trained: Path) -> None:
    import onnx

    planned = models_onnx(call=Call(dry_run=True))
    assert (planned.path, planned.dry_run) == (trained.with_name("best.onnx"), True)
    assert not planned.path.exists()
    result = CliRunner().invoke(main, ["models", "onnx"])
    assert result.exit_code == 0, result.output
    assert planned.version in result.output
    written = {entry.key: entry.value for entry in onnx.load(planned.path).metadata_props}
    assert planned.version in written[CARD_KEY]


def test_what_is_no_model_is_refused_and_nothing_written(trained: Path) -> None:
    Path("notes.pth").write_text("hello")
    with pytest.raises(CheckpointError, match=r"notes\.pth"):
        models_onnx(Path("notes.pth"), out=Path("field.onnx"))
    trained.unlink()
    with pytest.raises(NoRunError, match=r"no model/best\.pth"):
        models_onnx()
    assert not Path("field.onnx").exists()
