"""``promote``: the champion is a checkpoint of ours, recorded by the version of its weights."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from agir_cvtoolkit import Call, promote  # noqa: E402
from agir_cvtoolkit.errors import CheckpointError, NoRunError, UsageError  # noqa: E402
from agir_cvtoolkit.inference.registry import open_predictor  # noqa: E402
from agir_cvtoolkit.inference.torch_predictor import TorchPredictor  # noqa: E402
from agir_cvtoolkit.ledger import Ledger  # noqa: E402
from agir_cvtoolkit.models.card import ArchSpec, ModelCard, read_card  # noqa: E402
from agir_cvtoolkit.models.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from agir_cvtoolkit.models.registry import build  # noqa: E402
from agir_cvtoolkit.runs import start_run  # noqa: E402
from agir_cvtoolkit.stages._segmentation_champion import champion_of  # noqa: E402

ROOT = Path("outputs/runs")
SPEC = ArchSpec(decoder_channels=(8, 8, 8, 8, 8), encoder_weights=None)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def model(path: Path, seed: int = 0) -> str:
    torch.manual_seed(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    return save_checkpoint(path, build(SPEC), ModelCard(name="unet", version="", architecture=SPEC)).version


def opened() -> TorchPredictor:
    settings = Call(
        overrides=("seg_inference.model.predictor=champion", "seg_inference.device=cpu")
    ).settings()
    found = open_predictor(settings.seg_inference, champion_of(settings))
    assert isinstance(found, TorchPredictor)
    return found


def champion() -> str | None:
    with Ledger.open(None, ROOT) as ledger:
        found = ledger.champion()
        return found.version if found else None


def test_the_runs_own_model_is_promoted() -> None:
    run = start_run(ROOT, "a")
    version = model(run.path("model", "best.pth"))
    result = promote()
    assert (result.version, result.earlier, result.dry_run) == (version, None, False)
    assert result.path == Path("outputs/models", version, "best.pth").resolve()
    assert read_card(result.path.with_name("card.json")).version == version
    assert champion() == version
    assert run.path("logs", "promote.jsonl").is_file()
    assert run.path("cfg.promote.yaml").is_file()
    with Ledger.open(None, ROOT) as ledger:
        (row,) = ledger.models()
        assert (row.path, row.run_id) == (str(result.path), "a")


def test_two_cannot_promote_from_one_run_at_once() -> None:
    run = start_run(ROOT, "a")
    model(run.path("model", "best.pth"))
    with run.lock("promote"), pytest.raises(UsageError, match="already running"):
        promote()
    assert champion() is None


def test_the_champion_stays_whatever_becomes_of_the_runs_model() -> None:
    run = start_run(ROOT, "a")
    version = model(run.path("model", "best.pth"), 1)
    kept = promote().path
    model(run.path("model", "best.pth"), 2)
    assert load_checkpoint(kept)[1].version == version
    assert opened().card.version == version
    run.path("model", "best.pth").unlink()
    assert opened().card.version == version
    assert promote(kept).path == kept


def test_a_champion_that_is_another_model_or_gone_is_refused() -> None:
    version = model(Path("m.pth"), 1)
    kept = promote(Path("m.pth")).path
    other = model(kept, 2)
    with pytest.raises(CheckpointError, match=f"holds model {other}, but model {version} was promoted"):
        opened()
    kept.unlink()
    with pytest.raises(
        CheckpointError, match=rf"champion {version} is no longer at .*agir-cvtoolkit promote"
    ):
        opened()


def test_a_promotion_by_path_keeps_the_run_of_the_model() -> None:
    run = start_run(ROOT, "a")
    model(run.path("model", "best.pth"))
    promote()
    promote(run.path("model", "best.pth"))
    with Ledger.open(None, ROOT) as ledger:
        assert [row.run_id for row in ledger.models()] == ["a"]


def test_a_file_takes_over_and_the_earlier_one_is_named() -> None:
    start_run(ROOT, "a")
    first = model(Path("first.pth"), 1)
    second = model(Path("second.pth"), 2)
    promote(Path("first.pth"))
    assert promote(Path("second.pth")).earlier == first
    assert champion() == second


def test_a_dry_run_changes_nothing() -> None:
    version = model(Path("m.pth"))
    before = sorted(Path().rglob("*"))
    result = promote(Path("m.pth"), Call(dry_run=True))
    assert (result.version, result.dry_run) == (version, True)
    assert sorted(Path().rglob("*")) == before
    assert champion() is None


def test_what_is_missing_is_said() -> None:
    with pytest.raises(NoRunError, match="query"):
        promote()
    start_run(ROOT, "a")
    with pytest.raises(NoRunError, match=r"no model/best\.pth.*agir-cvtoolkit train"):
        promote()
    Path("bad.pth").write_text("no checkpoint")
    with pytest.raises(CheckpointError, match=r"bad\.pth"):
        promote(Path("bad.pth"))
    assert champion() is None
