"""``evaluate`` and ``promote`` of segmentation models: on the test split, without what the champion has seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from click.testing import CliRunner  # noqa: E402
from PIL import Image  # noqa: E402

from agir_cvtoolkit import Call, promote  # noqa: E402
from agir_cvtoolkit.cli import main  # noqa: E402
from agir_cvtoolkit.errors import CheckpointError, DataError, NoRunError  # noqa: E402
from agir_cvtoolkit.ledger import DatasetMember, DatasetVersion, Ledger  # noqa: E402
from agir_cvtoolkit.models.card import ArchSpec, ModelCard, TrainedOn  # noqa: E402
from agir_cvtoolkit.models.checkpoint import save_checkpoint  # noqa: E402
from agir_cvtoolkit.models.registry import build  # noqa: E402
from agir_cvtoolkit.pictures import save_png  # noqa: E402
from agir_cvtoolkit.progress import Silent  # noqa: E402
from agir_cvtoolkit.runs import Run, read_json_object, start_run, write_json  # noqa: E402
from agir_cvtoolkit.stages._evaluation import Incumbent, Judged  # noqa: E402
from agir_cvtoolkit.stages._segmentation_evaluation import (  # noqa: E402
    judge_masks,
    learned_pictures,
    load_tiles,
    mean_iou,
    tiles_by_picture,
)
from agir_cvtoolkit.stages.evaluate import evaluate  # noqa: E402
from agir_cvtoolkit.stages.preprocess import preprocess  # noqa: E402
from agir_cvtoolkit.training.dataset import open_dataset  # noqa: E402
from agir_cvtoolkit.training.scores import scores_of  # noqa: E402

ROOT = Path("outputs/runs")
SPEC = ArchSpec(decoder_channels=(8, 8, 8, 8, 8), encoder_weights=None)
SETTINGS = (
    "preprocess.size={height: 32, width: 32}",
    "preprocess.source.type=custom",
    "preprocess.source.custom_images_dir=images",
    "preprocess.source.custom_masks_dir=masks",
    "preprocess.split={train: 0.4, val: 0.1, test: 0.5}",
    "seg_inference.device=cpu",
)
CALL = Call(overrides=SETTINGS)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run with a data set of 20 pictures, each of two tiles: bright is plant."""
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    for number in range(20):
        rng = np.random.default_rng(number)
        bright = rng.random((32, 64)) < 0.5
        rgb = np.repeat(np.where(bright, 220, 30).astype(np.uint8)[..., None], 3, axis=2)
        for folder, array in (("images", rgb), ("masks", np.where(bright, 255, 0).astype(np.uint8))):
            Path(folder).mkdir(exist_ok=True)
            save_png(array, Path(folder, f"r{number:02d}.png"))
    made = start_run(ROOT, "a")
    preprocess(CALL)
    return made


def model(path: Path, bias: float, dataset: str = "") -> str:
    """Write a model that says plant everywhere (bias above 0) or nowhere, whatever it sees."""
    torch.manual_seed(0)
    network = build(SPEC)
    state = network.state_dict()
    last = [name for name in state if name.endswith(".bias") and state[name].shape == (2,)][-1]
    state[last] = torch.tensor([0.0, bias])
    weight = last.removesuffix("bias") + "weight"
    state[weight] = torch.zeros_like(state[weight])
    network.load_state_dict(state)
    card = ModelCard("unet", "", SPEC, tile_size=(32, 32), trained_on=TrainedOn(dataset=dataset))
    path.parent.mkdir(parents=True, exist_ok=True)
    return save_checkpoint(path, network, card).version


def test_figures_of_both_models_stand_beside_each_other(run: Run) -> None:
    everywhere, nowhere = run.path("model", "best.pth"), Path("nowhere.pth")
    version, other = model(everywhere, 5.0), model(nowhere, -5.0)
    first = evaluate(call=CALL)
    assert (first.kind, first.pictures, first.champion, first.verdict.outcome) == (
        "segmentation",
        10,
        None,
        "first",
    )
    assert first.challenger.metrics["test_iou"] == pytest.approx(0.5, abs=0.02)
    result = evaluate(None, nowhere, CALL)
    assert result.champion is not None
    assert (result.challenger.version, result.champion.version) == (version, other)
    assert result.champion.metrics["test_iou"] == 0.0
    assert result.verdict.outcome == "better"
    assert result.test_set == first.test_set
    assert set(result.challenger.parts) == {"plant"}
    assert {name: v.outcome for name, v in result.by_class.items()} == {
        "background": "worse",
        "plant": "better",
    }
    assert result.challenger.metrics["test_ece"] == pytest.approx(0.49, abs=0.03)
    assert result.challenger.metrics["test_dice.plant"] == pytest.approx(2 / 3, abs=0.02)
    assert 0 < result.challenger.metrics["test_boundary_f1.plant"] <= 1
    assert result.champion.metrics["test_boundary_f1"] == 0.0
    shares = [share for _, share in result.challenger.worst]
    assert len(shares) == 8
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(0.5, abs=0.06)
    for name in ("reliability.png", "worst.png"):
        assert Image.open(run.path("evaluation", name)).width > 300
    written = read_json_object(run.path("evaluation", "evaluation.json"))
    assert written["verdict"]["outcome"] == "better"
    assert "better than the champion" in written["words"]
    card = read_json_object(run.path("evaluation", "card.json"))
    assert card["metrics"]["test_iou"] == pytest.approx(result.challenger.metrics["test_iou"])
    assert run.read_metrics("evaluate")["kind"] == "segmentation"


def proposing(run: Run, shift: int) -> Incumbent:
    """What proposes the truth, shifted by some pixels."""
    dataset = open_dataset(run.path("dataset"))

    def judge(tiles: Mapping[str, Sequence[str]]) -> Judged:
        return judge_masks(
            dataset, tiles, lambda name: np.roll(load_tiles(dataset, [name])[1][0], shift, 1), Silent()
        )

    return Incumbent("a_rule", judge)


def another(version: str) -> DatasetVersion:
    return DatasetVersion(version, "b", None, "b/dataset", {}, 1, 1, {}, ("background", "plant"), (1, 1))


def test_where_no_model_is_in_service_the_first_one_is_compared_with_what_proposes(run: Run) -> None:
    model(run.path("model", "best.pth"), 5.0)  # plant everywhere: IoU 0.5
    exact = evaluate(call=CALL, incumbent=lambda: proposing(run, 0))
    assert (exact.verdict.outcome, exact.verdict.takes_over, exact.incumbent) == ("worse", False, "a_rule")
    assert exact.words.startswith("worse than a_rule beyond chance: -0.5")
    assert exact.champion is not None
    assert (exact.champion.name, exact.champion.metrics["test_iou"]) == ("a_rule", 1.0)
    assert exact.champion.interval == (1.0, 1.0)
    assert "test_ece" not in exact.champion.metrics
    assert {name: v.outcome for name, v in exact.by_class.items()} == {
        "background": "worse",
        "plant": "worse",
    }
    written = read_json_object(run.path("evaluation", "evaluation.json"))
    assert (written["incumbent"], written["words"]) == ("a_rule", exact.words)

    elsewhere = evaluate(call=CALL, incumbent=lambda: proposing(run, 1))  # noise against noise: IoU 1/3
    assert (elsewhere.verdict.outcome, elsewhere.verdict.takes_over) == ("better", True)
    promote(call=CALL, force=True)
    assert evaluate(call=CALL, incumbent=lambda: proposing(run, 0)).verdict.outcome == "same"


def test_without_an_answer_of_what_proposes_the_first_model_is_the_first(run: Run) -> None:
    model(run.path("model", "best.pth"), 5.0)

    def fails(*_: object) -> NoReturn:
        raise DataError("the service does not answer", "Start it.")

    for broken in (fails, lambda: Incumbent("a_service", fails)):
        result = evaluate(call=CALL, incumbent=broken)
        assert (result.verdict.outcome, result.champion, result.incumbent) == ("first", None, "")
        assert result.words == "there is no champion to compare with: the service does not answer"


def test_what_proposes_is_not_tested_on_what_it_learned_from(run: Run) -> None:
    model(run.path("model", "best.pth"), 5.0)
    with Ledger.open(None, ROOT) as ledger:
        members = ledger.dataset_members(open_dataset(run.path("dataset")).fingerprint)
        tested = [replace(one, side="train") for one in members if one.side == "test"]
        ledger.record_dataset(another("some"), tested[:4])
        ledger.record_dataset(another("all"), tested)
    some = evaluate(call=CALL, incumbent=lambda: replace(proposing(run, 0), learned_from="some"))
    assert (some.pictures, some.verdict.outcome) == (6, "worse")
    assert some.items[0].reason == "a_rule learned from it"
    every = evaluate(call=CALL, incumbent=lambda: replace(proposing(run, 0), learned_from="all"))
    assert (every.pictures, every.verdict.outcome) == (10, "first")
    assert every.uncompared == "a_rule learned from every picture of the test set"


def test_a_test_set_is_its_pictures_and_not_what_is_learned_from(run: Run) -> None:
    model(run.path("model", "best.pth"), 5.0)
    before = evaluate(call=CALL).test_set
    stats = read_json_object(run.path("dataset", "stats.json"))
    write_json(run.path("dataset", "stats.json"), stats | {"fingerprint": "another"})
    assert evaluate(call=CALL).test_set == before
    tested = read_json_object(run.path("dataset", "splits.json"))["test"][0]
    mask = run.path("dataset", "masks", f"{tested}.png")
    save_png(np.roll(np.asarray(Image.open(mask)), 1, axis=1), mask)
    assert evaluate(call=CALL).test_set != before


def test_the_ledger_knows_how_models_did(run: Run) -> None:
    version = model(run.path("model", "best.pth"), 5.0)
    promote(call=CALL)
    result = evaluate(call=CALL)
    assert result.verdict.outcome == "same"
    with Ledger.open(None, ROOT) as ledger:
        row = ledger.model(version)
    assert row is not None
    assert row.metrics["test_iou"] == result.challenger.metrics["test_iou"]
    assert row.test_set == result.test_set


def test_a_worse_model_is_refused_without_force(run: Run) -> None:
    good, bad = model(run.path("model", "best.pth"), 5.0), model(Path("bad.pth"), -5.0)
    promote(call=CALL)
    with pytest.raises(
        DataError, match=rf"{bad} does worse than the champion {good}: IoU -0\.\d+ on 10 pictures.*--force"
    ):
        promote(Path("bad.pth"), CALL)
    with Ledger.open(None, ROOT) as ledger:
        champion = ledger.champion()
    assert champion is not None
    assert champion.version == good
    assert promote(Path("bad.pth"), CALL, force=True).earlier == good
    back = promote(call=CALL)
    assert back.evaluation is not None
    assert back.evaluation.verdict.outcome == "better"
    assert "test_iou" in json.loads(back.path.with_name("card.json").read_text())["metrics"]


def test_a_dry_run_compares_and_changes_nothing(run: Run) -> None:
    good = model(run.path("model", "best.pth"), 5.0)
    promote(call=CALL)
    model(Path("bad.pth"), -5.0)
    with pytest.raises(DataError, match="does worse"):
        promote(Path("bad.pth"), replace(CALL, dry_run=True))
    assert evaluate(Path("bad.pth"), call=replace(CALL, dry_run=True)).verdict.outcome == "worse"
    assert not run.path("evaluation").exists()
    with Ledger.open(None, ROOT) as ledger:
        assert [row.version for row in ledger.models()] == [good]


def test_pictures_that_a_model_learned_from_are_left_out_whatever_they_are_called(run: Run) -> None:
    before = open_dataset(run.path("dataset")).fingerprint
    old = set(tiles_by_picture(open_dataset(run.path("dataset"))))
    model(run.path("model", "best.pth"), 5.0, before)
    promote(call=CALL)
    for folder in ("images", "masks"):
        for path in Path(folder).iterdir():
            path.rename(path.with_name(f"new-{path.name}"))
    preprocess(Call(overrides=(*SETTINGS, "preprocess.split.seed=9", "preprocess.split.test_set=other")))
    dataset = open_dataset(run.path("dataset"))
    now = {name.removeprefix("new-") for name in tiles_by_picture(dataset)}
    assert now - old
    assert now & old
    with Ledger.open(None, ROOT) as ledger:
        assert learned_pictures(ledger, "of another machine", dataset.fingerprint) is None
        assert now - old <= {n[4:] for n in learned_pictures(ledger, before, dataset.fingerprint) or ()}
    model(Path("new.pth"), -5.0, dataset.fingerprint)
    result = evaluate(Path("new.pth"), call=CALL)
    assert {item.record_id.removeprefix("new-") for item in result.items} == now - old
    assert {item.reason for item in result.items} == {"the champion learned from it"}
    assert result.pictures == len(now & old)
    assert result.warning == ""
    model(Path("leaky.pth"), 4.0, before)
    leaky = evaluate(Path("leaky.pth"), Path("new.pth"), CALL)
    assert {item.reason for item in leaky.items} == {"the challenger learned from it"}
    assert leaky.pictures == len(now & old)


def test_cutouts_of_a_picture_that_was_learned_from_count_as_learned() -> None:
    known = {
        "then": [
            DatasetMember("p1_c1", "a", "m", "p1", "train"),
            DatasetMember("p2_c1", "b", "m", "p2", "test"),
            DatasetMember("same-name", "c", "m", "same-name", "val"),
        ],
        "now": [
            DatasetMember("p1_c2", "d", "m", "p1", "test"),
            DatasetMember("p2_c2", "e", "m", "p2", "test"),
            DatasetMember("same-name", "f", "m", "same-name", "test"),
            DatasetMember("renamed", "c", "m", "renamed", "test"),
        ],
    }
    ledger = SimpleNamespace(dataset_members=lambda version: known[version])
    assert learned_pictures(ledger, "then", "now") == frozenset({"p1", "renamed"})  # type: ignore[arg-type]


def test_a_champion_of_an_unknown_data_set_may_be_too_good_and_it_is_said(run: Run) -> None:
    model(run.path("model", "best.pth"), 5.0)
    model(Path("old.pth"), -5.0, "of another machine")
    assert "may be too good" in evaluate(None, Path("old.pth"), CALL).warning


def test_what_is_missing_is_said(run: Run) -> None:
    with pytest.raises(NoRunError, match=r"no model/best\.pth"):
        evaluate(call=CALL)
    Path("bad.pth").write_text("no checkpoint")
    with pytest.raises(CheckpointError, match=r"bad\.pth"):
        evaluate(Path("bad.pth"), call=CALL)
    model(run.path("model", "best.pth"), 5.0)
    kept = promote(call=CALL).path
    model(Path("other.pth"), 4.0)
    kept.unlink()
    with pytest.raises(CheckpointError, match="no longer at"):
        evaluate(Path("other.pth"), call=CALL)
    assert "not compared" in promote(Path("other.pth"), CALL).warning


def test_a_data_set_without_a_test_split_is_named(run: Run) -> None:
    preprocess(
        Call(
            overrides=(*SETTINGS[:-2], "preprocess.split={train: 0.8, val: 0.2, test: 0.0, test_set: other}")
        )
    )
    model(run.path("model", "best.pth"), 5.0)
    with pytest.raises(DataError, match=r"no pictures to test on.*split\.test"):
        evaluate(call=CALL)


def test_summed_tables_are_scored_as_training_does() -> None:
    rng = np.random.default_rng(0)
    tables = rng.integers(0, 50, (40, 3, 3))
    tables[0, 2, :] = tables[0, :, 2] = 0
    expected = [scores_of(table).iou for table in tables]
    assert mean_iou(tables.reshape(40, 9).astype(np.float64)) == pytest.approx(expected)


def test_the_command_prints_a_table(run: Run) -> None:
    model(run.path("model", "best.pth"), 5.0)
    model(Path("old.pth"), -5.0)
    options = [part for text in SETTINGS for part in ("-o", text)]
    result = CliRunner().invoke(main, ["evaluate", "--champion", "old.pth", *options])
    assert result.exit_code == 0, result.output
    assert "test_iou" in result.stdout
    assert "Verdict: better than the champion beyond chance" in result.stdout
    as_json = CliRunner().invoke(main, ["evaluate", "--json", *options])
    assert json.loads(as_json.stdout)["verdict"]["outcome"] == "first"
