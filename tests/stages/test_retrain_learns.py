"""Retraining with a network that sees: it finds the joints of pictures that it has not learned from, round by round."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.stages import _retrain_publish as publishing
from agir_cvtoolkit.stages.evaluate import evaluate
from agir_cvtoolkit.stages.promote import promote
from agir_cvtoolkit.stages.retrain import retrain

from . import retraining as world

ROOT = Path("outputs/runs")
SEEING = (
    "pose_train.model.encoder_weights=imagenet",
    "pose_train.model.input_size=96",
    "pose_train.model.widths=[16,16,16]",
    "pose_train.batch_size=8",
    "pose_train.variations=2",
)


@pytest.mark.slow
def test_two_rounds_evaluate_and_promote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    store = world.store()
    world.correct(store, range(25))
    world.trigger(store)
    first = retrain(world.call(*SEEING, "pose_train.steps=6"))
    assert first.evaluation is not None
    world.correct(store, range(25, 32))
    world.trigger(store)
    second = retrain(world.call(*SEEING, "pose_train.steps=60"))
    assert second.evaluation is not None
    assert second.verdict is not None
    found = second.evaluation.challenger.metrics["test_mean_pck"]
    assert found > 0.2
    assert (second.promoted, second.verdict.outcome) in {(True, "better"), (True, "first")}
    model = store.current_model()
    assert model is not None
    assert model.version == second.version
    assert model.metrics["test_mean_pck"] == pytest.approx(found)

    # The same verdict again, on demand, from what lies in the run.
    run = second.run_id
    earlier = ROOT / first.run_id / "model" / "best.pth"
    again = evaluate(None, earlier, world.call(run=run))
    assert again.kind == "pose"
    assert again.test_set == second.evaluation.test_set
    assert again.challenger.metrics == second.evaluation.challenger.metrics
    assert again.verdict.difference > 0
    assert set(again.challenger.parts) == set(world.JOINTS)
    written = json.loads((ROOT / run / "evaluation" / "evaluation.json").read_text())
    assert written["verdict"]["outcome"] == again.verdict.outcome
    card = json.loads((ROOT / run / "evaluation" / "card.json").read_text())
    assert card["metrics"]["test_mean_pck"] == pytest.approx(found)

    # The earlier model does worse: only --force puts it back, and --publish tells the devices.
    with pytest.raises(DataError, match=r"does worse than the champion .*--force"):
        promote(earlier, world.call(run=run))
    with Ledger.open_to_read(None, ROOT) as ledger:
        champion = ledger.champion("pose")
    assert champion is not None
    assert champion.version == second.version
    # What lies beside the file may be of other weights; what is published is made of these.
    earlier.with_name("best.onnx").write_bytes(b"of other weights")
    monkeypatch.setattr(publishing, "_onnx", lambda checkpoint, target: target.write_bytes(b"of these"))
    back = promote(earlier, world.call("retrain.onnx=always", run=run), force=True, publish=True)
    assert (back.kind, back.earlier, back.warning) == ("pose", second.version, "")
    assert store.file(dict(back.published)["onnx"]).read_bytes() == b"of these"
    model = store.current_model()
    assert model is not None
    assert model.version == first.version
    forward = promote(None, world.call(run=run))
    assert forward.evaluation is not None
    assert forward.evaluation.verdict.difference > 0
    assert forward.warning == ""
