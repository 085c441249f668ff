"""``promote``: the champion is a checkpoint of ours, recorded by the version of its weights."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from agir_cvtoolkit import Call, promote  # noqa: E402
from agir_cvtoolkit.errors import CheckpointError, NoRunError  # noqa: E402
from agir_cvtoolkit.ledger import Ledger  # noqa: E402
from agir_cvtoolkit.models.card import ArchSpec, ModelCard  # noqa: E402
from agir_cvtoolkit.models.checkpoint import save_checkpoint  # noqa: E402
from agir_cvtoolkit.models.registry import build  # noqa: E402
from agir_cvtoolkit.runs import start_run  # noqa: E402

ROOT = Path("outputs/runs")
SPEC = ArchSpec(decoder_channels=(8, 8, 8, 8, 8), encoder_weights=None)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def model(path: Path, seed: int = 0) -> str:
    torch.manual_seed(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    return save_checkpoint(path, build(SPEC), ModelCard(name="unet", version="", architecture=SPEC)).version


def champion() -> str | None:
    with Ledger.open(None, ROOT) as ledger:
        found = ledger.champion()
        return found.version if found else None


def test_the_runs_own_model_is_promoted() -> None:
    run = start_run(ROOT, "a")
    version = model(run.path("model", "best.pth"))
    result = promote()
    assert (result.version, result.earlier, result.dry_run) == (version, None, False)
    assert result.path == run.path("model", "best.pth").resolve()
    assert champion() == version


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
