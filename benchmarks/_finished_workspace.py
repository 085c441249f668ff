"""A workspace after many rounds, made up: rows in the ledger, files in the runs, a few small pictures for all records."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from agir_cvtoolkit.ledger import (
    CorrectionRow,
    DatasetVersion,
    Ledger,
    Pull,
    PushedFrame,
    PushedJob,
    PushedTask,
    PushKey,
    SelectionRow,
)
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.records import ManifestEntry
from agir_cvtoolkit.runs import Run, start_run, write_json, write_text

CLASSES = ("palmer amaranth", "winter wheat", "barley", "pitted morning-glory")
PEOPLE = ("ana", "björn", "chen", "<script>alert(1)</script>")
HOSTILE = '"><img src=x onerror=alert(1)>'
_SERVER = "https://cvat.example.org"
_PICTURES = 24
_SIZE = (240, 320)
_SIDE = 15


def make_workspace(folder: Path, records: int, rounds: int = 4, *, seed: int = 0) -> None:
    """Make a workspace with ``conf/`` in which a loop has run.

    Args:
        folder: empty, or new.
        records: of all rounds together.
        rounds: the last one is in annotation, all before have come back.
        seed: of what people did.
    """
    out_root = folder / "outputs" / "runs"
    write_text(folder / "conf" / "io" / "default.yaml", yaml.safe_dump({"out_root": str(out_root)}))
    rng = np.random.default_rng(seed)
    pictures = [_scene(rng) for _ in range(_PICTURES)]
    each = records // rounds
    with Ledger.open(None, out_root) as ledger:
        parent = None
        for number in range(1, rounds + 1):
            run = start_run(out_root, name="field", subname=f"{number:03d}")
            parent = _Round(ledger, run, number, rounds, rng, pictures).make(each, parent)


class _Round:
    def __init__(
        self,
        ledger: Ledger,
        run: Run,
        number: int,
        rounds: int,
        rng: np.random.Generator,
        pictures: list[tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]],
    ) -> None:
        self.ledger, self.run, self.number, self.rounds = ledger, run, number, rounds
        self.rng, self.pictures = rng, pictures
        self.begun = datetime.now(UTC) - timedelta(days=7 * (rounds - number) + 1)

    def make(self, count: int, parent: str | None) -> str | None:
        self.job = max(10, count // 250)
        names = [f"R{self.number}_{at:06d}" for at in range(count)]
        if self.number == 1:
            names[0] = f"R1_{HOSTILE}"
        entries = [self._entry(name, at) for at, name in enumerate(names)]
        self._files(entries)
        self.ledger.record_predictions(
            self.run.run_id, ((entry, f"m{at}") for at, entry in enumerate(entries))
        )
        self.ledger.record_selection(self.run.run_id, 1, self._chosen(names))
        rules = {"farthest of what was chosen": int(0.9 * count), "control": count - int(0.9 * count)}
        rules |= {
            "near-duplicate of another": count // 3,
            "beyond the batch": 4 * count,
            "labelled already": count // 9,
        }
        write_json(self.run.path("select", "selection.json"), {"counts": rules})
        task = self._push(names)
        for stage in ("infer-seg", "select", "upload-cvat"):
            self.run.mark_done(stage, "x")
        if self.number == self.rounds:
            return parent
        self._pull(names, task)
        for stage in ("download-cvat", "train", "evaluate"):
            self.run.mark_done(stage, "x")
        return self._train(count, parent)

    def _entry(self, name: str, at: int) -> ManifestEntry:
        which = at % _PICTURES
        uncertainty = float(np.clip(self.rng.beta(2, 6), 0, 1))
        return ManifestEntry(
            record_id=name, common_name=CLASSES[at % len(CLASSES)], image_path=f"images/p{which}.jpg",
            mask_path=f"masks/p{which}.png", width=_SIZE[1], height=_SIZE[0], sha256=f"{self.number:04x}{at:060x}",
            model=f"unet-{self.number}", uncertainty=uncertainty, edge_occupancy=0.0, inference_time_ms=20.0,
        )  # fmt: skip

    def _files(self, entries: list[ManifestEntry]) -> None:
        for name in ("images", "masks"):
            self.run.path(name).mkdir(parents=True, exist_ok=True)
        for at, (rgb, before, _) in enumerate(self.pictures):
            Image.fromarray(rgb).save(self.run.path("images", f"p{at}.jpg"), quality=90)
            save_png(before, self.run.path("masks", f"p{at}.png"))
        write_text(self.run.manifest_path, "".join(f"{entry.to_json()}\n" for entry in entries))

    def _chosen(self, names: list[str]) -> list[SelectionRow]:
        return [
            SelectionRow(
                self.run.run_id, 1, name, name, None, control=at % 10 == 0, rank=at + 1, score=1 - at / len(names),
                strategy="uncertainty-diversity", rule="control" if at % 10 == 0 else "farthest of what was chosen",
                seed=0, model=f"unet-{self.number}",
            )
            for at, name in enumerate(names)
        ]  # fmt: skip

    def _push(self, names: list[str]) -> int:
        key = PushKey(_SERVER, 7, None, self.run.run_id, "segmentations")
        frames = [
            PushedFrame(
                key.push_id, 0, at, name, f"{at}.jpg", f"{at:064x}", _SIZE[1], _SIZE[0], "h", shapes=1
            )
            for at, name in enumerate(names)
        ]
        task_id = 100 + self.number
        _push_task(self.ledger, key, self.run.run_id, task_id, frames, self.job, self.begun)
        return task_id

    def _pull(self, names: list[str], task_id: int) -> None:
        clock = dict.fromkeys(PEOPLE, self.begun)
        folder = self.run.path("cvat_downloads", f"{task_id}_field")
        (folder / "masks").mkdir(parents=True)
        for at, (_, _, after) in enumerate(self.pictures):
            save_png(after, folder / "masks" / f"p{at}.png")
        frames = []
        for job, start in enumerate(range(0, len(names), self.job)):
            own = names[start : start + self.job]
            person = PEOPLE[job % len(PEOPLE)]
            seconds = len(own) * float(self.rng.gamma(9, 4.5 - 0.5 * self.number))
            clock[person] += timedelta(seconds=seconds)
            saved = clock[person].isoformat()
            number = 1000 * task_id + job
            rows = [
                row
                for k, name in enumerate(own)
                for row in self._corrections(name, start + k, number, task_id, person, saved)
            ]
            self.ledger.record_corrections(_SERVER, self.run.run_id, number, rows)
            self.ledger.record_pull(
                Pull(
                    _SERVER,
                    self.run.run_id,
                    task_id,
                    number,
                    saved,
                    "completed",
                    "acceptance",
                    len(own),
                    len(rows),
                    "x",
                    person,
                ),
                dict.fromkeys(own, 1),
            )
            frames += [
                {"frame": start + k, "record_id": name, "file_name": f"{start + k}.jpg", "width": _SIZE[1],
                 "height": _SIZE[0], "sha256": None, "job_id": number, "shapes": 1,
                 "mask": f"masks/p{(start + k) % _PICTURES}.png"}
                for k, name in enumerate(own)
            ]  # fmt: skip
        content = {"task_id": task_id, "name": "field", "url": _SERVER, "frames": frames}
        write_json(folder / "frame_map.json", content)

    def _corrections(
        self, name: str, frame: int, job: int, task: int, person: str, at: str
    ) -> list[CorrectionRow]:
        better = 0.08 * self.number
        row = CorrectionRow(
            _SERVER, self.run.run_id, task, job, frame, name, "accepted", "", "", "mask", 1.0, 0.0, None, None, None,
            person, at, None,
        )  # fmt: skip
        found = []
        for label in self.rng.choice(CLASSES, int(self.rng.integers(1, 4)), p=(0.4, 0.3, 0.2, 0.1)):
            luck = self.rng.random() + better - (0.15 if label == "barley" else 0)
            kind = (
                "accepted"
                if luck > 0.75
                else "edited"
                if luck > 0.25
                else str(self.rng.choice(["deleted", "added", "relabelled"]))
            )
            iou = {"accepted": 1.0, "edited": float(self.rng.beta(8, 2)), "relabelled": 0.9}.get(kind)
            found.append(
                replace(
                    row,
                    outcome=kind,
                    label=str(label),
                    label_before=None if kind == "added" else str(label),
                    iou=iou,
                )
            )
        return found

    def _train(self, count: int, parent: str | None) -> str:
        run_id, labels = self.run.run_id, self.number * count
        dataset, version = f"{self.number:02x}d5a7e0c1b2", f"{self.number:02x}77b2c4e9aa"
        self.ledger.record_dataset(
            DatasetVersion(
                dataset, run_id, parent, str(self.run.path("dataset")), {"runs": [run_id]}, labels, labels,
                {"train": 4 * labels, "val": labels, "test": labels}, ("background", *CLASSES), (9, 4, 3, 2, 1),
            ),
            [],
        )  # fmt: skip
        card = {"kind": "segmentation", "trained_on": {"dataset": dataset}}
        self.ledger.record_model(
            version, str(self.run.path("model", "best.pth")), "unet-efficientnet_lite0", run_id, card
        )
        quality = round(0.9 - 0.32 * labels**-0.12 - (0.02 if self.number == 3 else 0), 4)
        metrics = {"test_iou": quality, "test_ece": 0.064}
        self.ledger.record_evaluation(version, metrics, "t1")
        better = self.number != 3
        if better:
            self.ledger.promote(version)
        write_json(self.run.path("evaluation", "evaluation.json"), self._evaluation(version, quality, better))
        return dataset

    def _evaluation(self, version: str, quality: float, better: bool) -> object:
        middle = (np.arange(_SIDE) + 0.5) / _SIDE
        counts = np.where(middle > 0.4, 1000 + 90_000 * middle**4, 0).astype(int)
        hits = (counts * np.clip(middle - 0.09 * (1 - middle) * 3, 0, 1)).astype(int)
        challenger = {
            "version": version, "name": "unet", "metrics": {"test_iou": quality, "test_ece": 0.064},
            "interval": [quality - 0.03, quality + 0.026],
            "reliability": {"counts": counts.tolist(), "confidences": (counts * middle).tolist(), "hits": hits.tolist()},
        }  # fmt: skip
        before = {
            "version": "01",
            "metrics": {"test_iou": quality - 0.03},
            "interval": [quality - 0.07, quality],
        }
        words = "better than the champion beyond chance: +0.030 [+0.006, +0.051] on 42 pictures"
        if not better:
            words = "no difference from the champion beyond chance: -0.004 [-0.021, +0.012] on 42 pictures"
        return {
            "kind": "segmentation", "test_set": "t1", "pictures": 42, "challenger": challenger,
            "champion": before if self.number > 1 else None,
            "verdict": {"outcome": "first" if self.number == 1 else "better" if better else "unclear"}, "words": words,
        }  # fmt: skip


def _push_task(
    ledger: Ledger, key: PushKey, run_id: str, task_id: int, frames: list[PushedFrame], job: int, at: datetime
) -> None:
    task = PushedTask(ledger.open_push(key, run_id), 0, key.name, run_id, "planned", None, None)
    ledger.plan_task(task)
    url = f"{_SERVER}/tasks/{task_id}"
    ledger.task_created(task, task_id, url)
    task = replace(task, task_id=task_id, url=url)
    ledger.task_filled(task, frames)
    jobs = [
        PushedJob(key.push_id, 0, 1000 * task_id + n, start, start + job - 1, at.isoformat(), "left")
        for n, start in enumerate(range(0, len(frames), job))
    ]
    ledger.task_done(task, {}, (), jobs)


def _scene(
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a picture of leaves on soil, what a model made of it, and the truth."""
    height, width = _SIZE
    rgb = rng.normal((118, 92, 66), 9, (height, width, 3))
    y, x = np.ogrid[:height, :width]
    truth, said = np.zeros(_SIZE, bool), np.zeros(_SIZE, bool)
    for _ in range(int(rng.integers(2, 6))):
        cx, cy, r = rng.uniform(40, width - 40), rng.uniform(40, height - 40), rng.uniform(18, 44)
        leaf = ((x - cx) / r) ** 2 + ((y - cy) / (0.6 * r)) ** 2 < 1
        truth |= leaf
        rgb[leaf] = rng.normal((70, 140, 52), 10, (int(leaf.sum()), 3))
        if rng.random() < 0.85:
            shift, grown = rng.uniform(-7, 7, 2), r * rng.uniform(0.8, 1.15)
            said |= ((x - cx - shift[0]) / grown) ** 2 + ((y - cy - shift[1]) / (0.6 * grown)) ** 2 < 1
    return np.clip(rgb, 0, 255).astype(np.uint8), said.astype(np.uint8), truth.astype(np.uint8)
