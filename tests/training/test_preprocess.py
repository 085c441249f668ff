from __future__ import annotations

import errno
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.config._training import CuttingWorkers, Pad, Preprocess, Split, TileSize
from agir_cvtoolkit.engines import Bounds, Threads
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.picture_memory import A_PIXEL
from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.runs import write_bytes
from agir_cvtoolkit.training import cutting
from agir_cvtoolkit.training.cutting import Cutting
from agir_cvtoolkit.training.dataset import open_dataset
from agir_cvtoolkit.training.groups import Sample
from agir_cvtoolkit.training.pairs import DatasetClass, Pair, pairs_from_folders
from agir_cvtoolkit.training.preprocess import prepare
from agir_cvtoolkit.training.splits import Deal, Memory, Splits

SETTINGS = Preprocess(size=TileSize(height=32, width=32), split=Split(train=0.5, val=0.25, test=0.25))


def make_pair(
    root: Path, name: str, size: tuple[int, int] = (70, 40), value: int = 7, group: str | None = None
) -> Pair:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    image = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[2:12, 3:20] = value
    stem = name.replace("/", "_")
    (root / "in").mkdir(exist_ok=True)
    image_path, mask_path = root / "in" / f"{stem}.png", root / "in" / f"{stem}_mask.png"
    Image.fromarray(image).save(image_path)
    Image.fromarray(mask).save(mask_path)
    return Pair(name, image_path, mask_path, group or name, "maize", sha256_of(image_path))


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(p.relative_to(root)): (p.read_bytes(), p.stat().st_ino)
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.name not in {"classes.json", "splits.json", "stats.json"}
    }


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_a_data_set_is_made(tmp_path: Path) -> None:
    pairs = [make_pair(tmp_path, f"r{i}", group=f"picture{i // 2}") for i in range(8)]
    root = tmp_path / "dataset"
    made = prepare(pairs, root, SETTINGS)
    dataset = made.dataset
    assert made.items == ()
    assert made.written == 8
    assert dataset.class_ids == (0, 255)
    assert dataset.pictures == 4
    assert open_dataset(root).classes == (DatasetClass(0, "background"), DatasetClass(255, "plant"))
    assert set(json.loads((root / "classes.json").read_text())) == {"dataset_classes"}
    names = [n for side in dataset.splits.values() for n in side]
    assert len(names) == len(set(names)) == 8 * 3 * 2
    for name in names:
        assert Image.open(dataset.image_path(name)).size == (32, 32)
        mask = np.asarray(Image.open(dataset.mask_path(name)))
        assert set(np.unique(mask).tolist()) <= {0, 255}
    groups = json.loads((root / "splits.json").read_text())["groups"]
    for side, found in groups.items():
        records = {n.split("_x")[0] for n in dataset.splits[side]}
        assert records == {p.record_id for p in pairs if p.group in found}


def test_the_table_of_pulled_labels_stays_beside_that_of_the_data_set(tmp_path: Path) -> None:
    root = tmp_path / "dataset"
    root.mkdir()
    pulled = {"classes": [{"id": 0, "name": "background"}, {"id": 3, "name": "rye"}]}
    (root / "classes.json").write_text(json.dumps(pulled))
    prepare([make_pair(tmp_path, "r")], root, SETTINGS)
    content = json.loads((root / "classes.json").read_text())
    assert content["classes"] == pulled["classes"]
    assert [c["id"] for c in content["dataset_classes"]] == [0, 255]


def test_tiles_hold_the_pixels_of_the_picture(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, "r", (70, 40))
    dataset = prepare([pair], tmp_path / "dataset", SETTINGS).dataset
    image, mask = np.asarray(Image.open(pair.image_path)), np.asarray(Image.open(pair.mask_path))
    for x, y in ((0, 0), (32, 0), (38, 8)):
        tile = np.asarray(Image.open(dataset.image_path(f"r_x{x}_y{y}")))
        assert (tile == image[y : y + 32, x : x + 32]).all()
        labels = np.asarray(Image.open(dataset.mask_path(f"r_x{x}_y{y}")))
        assert ((labels == 255) == (mask[y : y + 32, x : x + 32] > 0)).all()
    assert "same pictures" in dataset.warning


def test_statistics_are_those_of_the_training_pictures(tmp_path: Path) -> None:
    pairs = [make_pair(tmp_path, f"r{i}", (50 + i, 40)) for i in range(4)]
    made = prepare(pairs, tmp_path / "dataset", SETTINGS)
    training = {n.split("_x")[0] for n in made.dataset.splits["train"]}
    pixels = (
        np.concatenate(
            [np.asarray(Image.open(p.image_path)).reshape(-1, 3) for p in pairs if p.record_id in training]
        )
        / 255
    )
    assert made.dataset.rgb_mean == pytest.approx(pixels.mean(axis=0))
    assert made.dataset.rgb_std == pytest.approx(pixels.std(axis=0))
    plant = [np.count_nonzero(np.asarray(Image.open(p.mask_path))) for p in pairs if p.record_id in training]
    assert made.dataset.class_pixels == (len(pixels) - sum(plant), sum(plant))
    assert made.dataset.class_weights[1] > made.dataset.class_weights[0]


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    pairs = [make_pair(tmp_path, f"r{i}") for i in range(3)]
    root = tmp_path / "dataset"
    first = prepare(pairs, root, SETTINGS)
    before, files = snapshot(root), contents(root)
    again = prepare(list(reversed(pairs)), root, SETTINGS)
    assert again.written == 0
    assert again.dataset == first.dataset
    assert snapshot(root) == before
    assert contents(root) == files


def test_a_killed_call_is_continued_to_the_same_end(tmp_path: Path) -> None:
    pairs = [make_pair(tmp_path, f"r{i}") for i in range(9)]
    prepare(pairs, tmp_path / "whole", SETTINGS)
    one = SETTINGS.model_copy(update={"workers": CuttingWorkers(readers=1)})

    class Kill:
        def bar(self, _description: str, _total: int) -> Kill:
            self.left = 2
            return self

        def __enter__(self) -> Kill:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def advance(self, _steps: int = 1) -> None:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    root = tmp_path / "dataset"
    with pytest.raises(KeyboardInterrupt):
        prepare(pairs, root, one, progress=Kill())
    with pytest.raises(DataError, match="unfinished"):
        open_dataset(root)
    assert 0 < prepare(pairs, root, one).written <= 7
    assert contents(root) == contents(tmp_path / "whole")


WORKERS = [{"readers": 1}, {"readers": 5, "megapixels": 1}, {"processes": 2}]


@pytest.mark.parametrize("workers", WORKERS, ids=str)
def test_the_workers_change_nothing(
    tmp_path: Path, workers: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs = [make_pair(tmp_path, f"r{i}", (40 + 9 * i, 50)) for i in range(6)]
    torn = make_pair(tmp_path, "torn")
    torn.image_path.write_bytes(torn.image_path.read_bytes()[:-900])
    prepare(pairs, tmp_path / "one", SETTINGS)
    other = SETTINGS.model_copy(update={"workers": CuttingWorkers.model_validate(workers)})
    assert [i.record_id for i in prepare([torn, *pairs[::-1]], Path("other"), other).items] == ["torn"]
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_a_cluster_is_asked_when_it_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Cluster:
        def __init__(self, address: str | None, actors: int | None, bounds: Bounds) -> None:
            asked.append((address, actors, bounds.readers, bounds.weight))

        def run(self, work: Cutting, items: Sequence[Pair]) -> Iterator[object]:
            return Threads().run(work, items)

    monkeypatch.setattr("agir_cvtoolkit.training.preprocess.RayCluster", Cluster)
    values = {"engine": "ray", "ray_address": "head:6379", "processes": 3, "readers": 4, "megapixels": 9}
    wanted = SETTINGS.model_copy(update={"workers": CuttingWorkers.model_validate(values)})
    assert prepare([make_pair(tmp_path, "r")], tmp_path / "d", wanted).written == 1
    assert asked == [("head:6379", 3, 4, 9_000_000 * A_PIXEL)]


def test_only_what_is_new_is_cut_and_the_end_is_that_of_a_fresh_start(tmp_path: Path) -> None:
    pairs = [make_pair(tmp_path, f"r{i}") for i in range(7)]
    root = tmp_path / "dataset"
    prepare(pairs[:4], root, SETTINGS)
    before = snapshot(root)
    assert prepare(pairs, root, SETTINGS).written == 3
    assert {name: value for name, value in snapshot(root).items() if name in before} == before
    prepare(pairs, tmp_path / "fresh", SETTINGS)
    assert contents(root) == contents(tmp_path / "fresh")


def test_other_settings_and_fewer_records_leave_nothing_behind(tmp_path: Path) -> None:
    pairs = [make_pair(tmp_path, f"r{i}") for i in range(4)]
    root = tmp_path / "dataset"
    first = prepare(pairs, root, SETTINGS)
    larger = SETTINGS.model_copy(update={"size": TileSize(height=64, width=64)})
    second = prepare(pairs[:3], root, larger)
    prepare(pairs[:3], tmp_path / "fresh", larger)
    assert contents(root) == contents(tmp_path / "fresh")
    assert second.dataset.fingerprint != first.dataset.fingerprint


def test_a_lost_or_changed_file_is_made_again(tmp_path: Path) -> None:
    pairs = [make_pair(tmp_path, f"r{i}") for i in range(2)]
    root = tmp_path / "dataset"
    first = prepare(pairs, root, SETTINGS)
    before = contents(root)
    first.dataset.image_path("r0_x0_y0").unlink()
    (root / ".state" / "r1.json").write_text("{")
    assert prepare(pairs, root, SETTINGS).written == 2
    assert contents(root) == before
    Image.fromarray(np.full((40, 70), 1, np.uint8)).save(pairs[0].mask_path)
    assert prepare(pairs, root, SETTINGS).dataset.fingerprint != first.dataset.fingerprint


def test_what_fails_is_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = [make_pair(tmp_path, f"r{i}") for i in range(2)]
    lost = make_pair(tmp_path, "lost")
    lost.mask_path.unlink()
    other = make_pair(tmp_path, "other size")
    Image.fromarray(np.zeros((40, 71), np.uint8)).save(other.mask_path)
    torn = make_pair(tmp_path, "torn")
    torn.image_path.write_bytes(torn.image_path.read_bytes()[:-900])
    twice = replace(good[0])
    made = prepare([*good, lost, other, torn, twice], tmp_path / "dataset", SETTINGS)
    reasons = {item.record_id: item.reason for item in made.items}
    assert all(item.outcome == "failed" for item in made.items)
    assert "missing" in reasons["lost"]
    assert "71x40" in reasons["other size"]
    assert "damaged" in reasons["torn"]
    assert "twice" in reasons["r0"]
    assert made.dataset.pictures == 2
    assert len(reasons) == 4


def test_nothing_usable_names_the_first_reason(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, "r")
    pair.mask_path.unlink()
    with pytest.raises(DataError, match=r"no usable pair.*r: mask"):
        prepare([pair], tmp_path / "dataset", SETTINGS)
    with pytest.raises(DataError, match="no usable pair"):
        prepare([], tmp_path / "dataset", SETTINGS)


def test_class_ids_are_kept_and_strange_ones_refused(tmp_path: Path) -> None:
    classes = (DatasetClass(0, "background"), DatasetClass(7, "maize"), DatasetClass(9, "barley"))
    pairs = [make_pair(tmp_path, f"r{i}", value=v) for i, v in enumerate((7, 9, 8))]
    made = prepare(pairs, tmp_path / "dataset", SETTINGS, classes=classes)
    assert made.dataset.class_ids == (0, 7, 9)
    assert [i.record_id for i in made.items] == ["r2"]
    assert "8" in made.items[0].reason
    values = {
        v
        for side in made.dataset.splits.values()
        for n in side
        for v in np.unique(np.asarray(Image.open(made.dataset.mask_path(n)))).tolist()
    }
    assert values == {0, 7, 9}
    with pytest.raises(DataError, match="class ids"):
        prepare(pairs, tmp_path / "dataset", SETTINGS, classes=classes[1:])


def test_empty_data_are_left_out_when_asked(tmp_path: Path) -> None:
    pairs = [make_pair(tmp_path, "r0"), make_pair(tmp_path, "empty", value=0)]
    settings = SETTINGS.model_copy(update={"ignore_empty_data": True})
    made = prepare(pairs, tmp_path / "dataset", settings)
    assert [(i.record_id, i.outcome) for i in made.items] == [("empty", "skipped")]
    assert set(made.dataset.splits["train"]) == {"r0_x0_y0", "r0_x0_y8"}


def test_small_pictures_without_padding_are_listed(tmp_path: Path) -> None:
    pairs = [make_pair(tmp_path, "r0"), make_pair(tmp_path, "small", (30, 30))]
    made = prepare(pairs, tmp_path / "dataset", SETTINGS.model_copy(update={"pad": Pad(enabled=False)}))
    assert [(i.record_id, i.outcome) for i in made.items] == [("small", "skipped")]


def test_odd_ids_stay_inside_the_folder(tmp_path: Path) -> None:
    pairs = [make_pair(tmp_path, name) for name in ("../up", "grün & %#", "a_x0_y0", "a")]
    made = prepare(pairs, tmp_path / "dataset", SETTINGS)
    assert made.items == ()
    files = list((tmp_path / "dataset" / "images").iterdir())
    assert len(files) == 4 * 6
    assert not (tmp_path / "up_x0_y0.png").exists()


def test_pictures_are_shrunk_with_their_masks(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, "r", (128, 64))
    settings = SETTINGS.model_copy(update={"max_side": 64})
    made = prepare([pair], tmp_path / "dataset", settings)
    assert made.dataset.splits["train"] == ("r_x0_y0", "r_x32_y0")
    assert made.dataset.max_side == 64
    mask = np.asarray(Image.open(made.dataset.mask_path("r_x0_y0")))
    assert 30 <= np.count_nonzero(mask) <= 55


def test_pairs_come_from_two_folders(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / f"{name}.JPG", format="JPEG")
    Image.new("L", (8, 8)).save(tmp_path / "masks" / "a.png")
    pairs, items = pairs_from_folders(tmp_path / "images", tmp_path / "masks")
    assert [p.record_id for p in pairs] == ["a"]
    assert [i.record_id for i in items] == ["b"]
    with pytest.raises(DataError, match="custom_masks_dir"):
        pairs_from_folders(tmp_path / "images", tmp_path / "nowhere")


def test_near_duplicates_stay_on_one_side(tmp_path: Path) -> None:
    pairs = [make_pair(tmp_path, f"r{i}") for i in range(8)]
    twins = []
    for pair in pairs[:4]:
        brighter = np.asarray(Image.open(pair.image_path)).astype(int) * 9 // 10 + 12
        path = pair.image_path.with_name(f"{pair.record_id}_twin.png")
        Image.fromarray(brighter.astype(np.uint8)).save(path)
        twin = replace(pair, record_id=f"{pair.record_id}t", image_path=path, group=f"twin of {pair.group}")
        twins.append(replace(twin, sha256=sha256_of(path)))
    sides = {m.record_id: m.side for m in prepare([*pairs, *twins], tmp_path / "d", SETTINGS).members}
    assert set(sides.values()) == {"train", "val", "test"}
    assert all(sides[pair.record_id] == sides[f"{pair.record_id}t"] for pair in pairs[:4])
    off = SETTINGS.model_copy(update={"split": SETTINGS.split.model_copy(update={"near_duplicates": None})})
    apart = {m.record_id: m.side for m in prepare([*pairs, *twins], tmp_path / "d", off).members}
    assert any(apart[pair.record_id] != apart[f"{pair.record_id}t"] for pair in pairs[:4])


def test_what_was_tested_on_is_remembered_and_never_learned(tmp_path: Path) -> None:
    pairs = [make_pair(tmp_path, f"r{i}") for i in range(8)]
    memory = Memory()

    def remember(samples: Sequence[Sample], deal: Deal) -> Splits:
        nonlocal memory
        splits = deal(memory)
        by_record = {sample.record_id: sample for sample in samples}
        new = [by_record[r] for r in splits.records("test")]
        memory = Memory({**memory.tested, **{sample.sha256: sample.phash for sample in new}})
        return splits

    first = prepare(pairs, tmp_path / "first", SETTINGS, remember=remember)
    tested = {m.sha256 for m in first.members if m.side == "test"}
    assert tested
    for seed in range(4):
        again = prepare(pairs, tmp_path / "again", SETTINGS, seed=seed, remember=remember)
        assert {m.sha256 for m in again.members if m.side == "test"} == tested


def test_a_table_of_another_run_is_translated(tmp_path: Path) -> None:
    classes = (DatasetClass(0, "background"), DatasetClass(7, "maize"), DatasetClass(9, "barley"))
    swapped = replace(make_pair(tmp_path, "other", value=9), values=((9, 7), (7, 9)))
    made = prepare([swapped], tmp_path / "dataset", SETTINGS, classes=classes)
    assert made.dataset.class_pixels[1] > 0
    assert made.dataset.class_pixels[2] == 0


def test_a_full_disk_ends_with_what_to_do_and_the_next_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [make_pair(tmp_path, f"r{i}") for i in range(5)]
    prepare(pairs, tmp_path / "whole", SETTINGS)
    written = write_bytes

    def full(path: Path, content: bytes) -> None:
        if path.name.startswith("r3"):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written(path, content)

    root = tmp_path / "dataset"
    with monkeypatch.context() as patched:
        patched.setattr(cutting, "write_bytes", full)
        with pytest.raises(DataError, match="is full") as caught:
            prepare(pairs, root, SETTINGS)
    assert "goes on where it stopped" in caught.value.next_step
    with pytest.raises(DataError, match="unfinished"):
        open_dataset(root)
    assert prepare(pairs, root, SETTINGS).written < 5
    assert contents(root) == contents(tmp_path / "whole")


def test_a_bug_is_not_taken_for_bad_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cutting, "write_bytes", broken)
    with pytest.raises(ZeroDivisionError):
        prepare([make_pair(tmp_path, "r")], tmp_path / "dataset", SETTINGS)


def test_a_class_that_no_training_picture_shows_is_said(tmp_path: Path) -> None:
    classes = (DatasetClass(0, "background"), DatasetClass(7, "maize"), DatasetClass(9, "barley"))
    pairs = [make_pair(tmp_path, f"r{i}") for i in range(4)]
    pairs.append(make_pair(tmp_path, "rare", value=9))
    listed = {"rare": "test"}
    made = prepare(pairs, tmp_path / "dataset", SETTINGS, classes=classes, listed=listed)
    assert made.dataset.warning == "no training picture shows barley"
    assert prepare(pairs[:4], tmp_path / "dataset", SETTINGS, classes=classes).dataset.warning == ""


def test_deep_pictures_weigh_by_their_bytes(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "plain.png")
    cv2.imwrite(str(tmp_path / "deep.tif"), np.zeros((20, 30, 3), np.float32))
    work = Cutting(tmp_path, SETTINGS, (), binary=True)

    def weighed(name: str) -> int:
        return work.weigh(Pair(name, tmp_path / name, tmp_path / name, name, None, ""))

    assert weighed("plain.png") == 600 * A_PIXEL
    assert weighed("deep.tif") > 2 * weighed("plain.png")
