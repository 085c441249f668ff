"""The forms of a model: written where their extra is installed, published all together, once."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from agir_cvtoolkit import Call
from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import MissingExtraError
from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.models.card import ModelCard, read_card
from agir_cvtoolkit.stages import _retrain_publish as publishing


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from agir_cvtoolkit.models.card import ArchSpec
    from agir_cvtoolkit.models.checkpoint import save_checkpoint
    from agir_cvtoolkit.models.registry import build

    monkeypatch.chdir(tmp_path)
    spec = ArchSpec(decoder_channels=(8, 8, 8, 8, 8), encoder_weights=None)
    path = tmp_path / "run" / "best.pth"
    path.parent.mkdir()
    save_checkpoint(
        path, build(spec), ModelCard("unet", "", spec, metrics={"val_iou": 0.5, "val_iou.plant": 0.4})
    )
    return path


def settings(**values: str) -> Settings:
    return Call(overrides=tuple(f"retrain.{key}={value}" for key, value in values.items())).settings()


def written(checkpoint: Path, target: Path) -> None:
    target.write_bytes(target.name.encode())


def missing(checkpoint: Path, target: Path) -> None:
    raise MissingExtraError("Writing this form", "extra")


def broken(checkpoint: Path, target: Path) -> None:
    raise RuntimeError("no such operator")


def test_what_is_wished_for_is_written_once(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "_onnx", written)
    monkeypatch.setattr(publishing, "_coreml", missing)
    assert publishing.export_model(checkpoint, settings()) == ()
    assert checkpoint.with_name("best.onnx").is_file()
    monkeypatch.setattr(publishing, "_onnx", broken)
    assert publishing.export_model(checkpoint, settings(onnx="always")) == ()
    with pytest.raises(MissingExtraError):
        publishing.export_model(checkpoint, settings(coreml="always"))


def test_a_form_that_fails_is_listed_or_where_it_must_be_there_an_error(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_onnx", broken)
    monkeypatch.setattr(publishing, "_coreml", written)
    (item,) = publishing.export_model(checkpoint, settings())
    assert (item.record_id, item.outcome) == ("best.onnx", "failed")
    assert "no such operator" in item.reason
    with pytest.raises(RuntimeError):
        publishing.export_model(checkpoint, settings(onnx="always"))
    assert publishing.export_model(checkpoint, settings(onnx="never", coreml="never")) == ()


def test_all_forms_are_published_together_and_once(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("best.onnx", "best.mlpackage.zip"):
        checkpoint.with_name(name).write_bytes(name.encode())
    card = read_card(checkpoint.with_name("card.json"))
    kept = publishing.put_in_place(checkpoint, card, Path("outputs/runs"))
    assert kept == Path("outputs/models", card.version, "best.pth").resolve()
    store = EmbeddedStore(Path("store"))
    model = publishing.publish_model(store, kept, card, "t1")
    assert set(model.files) == {"pth", "card", "onnx", "coreml"}
    assert model.metrics == {"val_iou": 0.5}
    for kind, name in (("onnx", "best.onnx"), ("coreml", "best.mlpackage.zip")):
        assert store.file(model.files[kind]).read_bytes() == name.encode()
    monkeypatch.setattr(EmbeddedStore, "publish", lambda *args: pytest.fail("published twice"))
    assert publishing.publish_model(store, kept, card, "t1") == store.current_model()
