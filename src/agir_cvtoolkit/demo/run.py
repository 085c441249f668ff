"""The loop, once: query, predict, upload, correct, download, train, predict again, judge."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.cvat import Credentials, CvatSession, NewLabel, create_project
from agir_cvtoolkit.progress import Progress, Silent
from agir_cvtoolkit.runs import open_run
from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions
from agir_cvtoolkit.sandbox.oracle import OracleReport, correct_task
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages._pulled import read_frame_maps
from agir_cvtoolkit.stages.build_db import build_db
from agir_cvtoolkit.stages.download_cvat import download_cvat
from agir_cvtoolkit.stages.infer_seg import infer_seg
from agir_cvtoolkit.stages.query import query
from agir_cvtoolkit.stages.train import TrainStageResult, train
from agir_cvtoolkit.stages.upload_cvat import upload_cvat

from .judging import Judgement, Masks, draw_sheet, judge, predicted_masks
from .person import wait_for_person
from .pictures import HELD_OUT, POOL, SEVERAL, SPLIT, DemoPictures, drawn_pictures, real_pictures
from .workspace import ACCOUNT, clear, configure


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration showed.

    Attributes:
        folder: a workspace in which every command can be tried.
        judgement: IoU on pictures that were neither uploaded nor trained on.
        oracle: what the simulated annotator did; None where a person has corrected.
        sheet: picture, proposal, correction, new prediction.
        seconds: of the whole demonstration.
    """

    folder: Path
    pictures: int
    held_out: int
    task_url: str
    oracle: OracleReport | None
    training: TrainStageResult
    judgement: Judgement
    sheet: Path
    seconds: float


def demo(
    folder: Path = Path("demo_output"),
    data: Path | None = None,
    *,
    count: int = 27,
    seed: int = 0,
    epochs: int | None = None,
    human: bool = False,
    progress: Progress | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> DemoResult:
    """Run the main job on drawn scenes or on real pictures, with a simulated annotator or a person.

    Args:
        folder: where everything goes; that of an earlier demonstration is replaced.
        data: pictures in the layout of `agir_cvtoolkit.demo.pictures.real_pictures`; None draws scenes.
        count: how many scenes are drawn.
        seed: of the scenes and of the training.
        epochs: of the training; None is what suits the pictures.
        human: wait until a person has corrected the proposals on the sandbox's page.
        progress: where long work reports.
        tell: is given one line per step.

    Raises:
        UsageError: `folder` holds something else.
        AgirError: whatever a stage raises.
        PersonLeftError: Ctrl-C while the person was waited for; it says how to go on.
    """
    started = time.monotonic()
    clear(folder, "demo")
    folder = folder.resolve()
    if data is None:
        tell(f"Drawing {count} field scenes")
        pictures = drawn_pictures(folder / "pictures", count, seed)
    else:
        pictures = real_pictures(data, folder)
    with Sandbox(SandboxOptions(root=folder / "sandbox")) as sandbox:
        tell(f"Sandbox: {sandbox.url}")
        project_id = project_of(sandbox.url, pictures)
        groups = settings_of(folder, project_id, pictures, epochs, seed, real=data is not None)
        configure(folder, sandbox.url, groups)
        call = _Calls(folder, progress or Silent())
        build_db(pictures.folder, pictures.records_csv, folder / "semif.db", call=call())
        query(filters=[f"{SPLIT}={POOL}"], call=call("project.name=round1"))
        predicted = infer_seg(call())
        tell(f"Predicted {predicted.predicted} pictures with {predicted.model}")
        pushed = upload_cvat(call())
        tell(f"Uploaded {pushed.uploaded_annotations} of {pushed.total_records}: {pushed.task_url}")
        oracle = _corrected(
            sandbox.url, [task.task_id for task in pushed.tasks], pictures, folder, tell, human=human
        )
        pulled = download_cvat(call())
        tell(f"Downloaded {pulled.frames} corrected pictures")
        tell("Training on the corrections; on two quiet cores this takes about three minutes")
        trained = train(call())
        tell(
            f"Trained {trained.epochs_completed} epochs, IoU {trained.best_val_iou:.3f} on the validation split"
        )
        out_root = folder / "outputs" / "runs"
        pool = open_run(out_root, "round1")
        corrections = {
            frame.record_id: task.folder / frame.mask
            for task in read_frame_maps(pool)
            for frame in task.frames
            if frame.mask is not None
        }
        checkpoint = f"seg_inference.model.ckpt_path='{trained.best_checkpoint}'"
        before = _held_out_masks(call, out_root, "before", ())
        after = _held_out_masks(call, out_root, "after", (checkpoint,))
        pool_before: Masks = predicted_masks(pool)
        infer_seg(call(checkpoint, run="round1"))
        pool_after: Masks = predicted_masks(pool)
    judgement = judge(pictures, before, after, pool_before)
    sheet = draw_sheet(
        pictures,
        pool,
        corrections,
        {**pool_before, **before},
        {**pool_after, **after},
        folder / "contact_sheet.png",
    )
    return DemoResult(
        folder=folder,
        pictures=len(pictures.species),
        held_out=len(pictures.held_out),
        task_url=pushed.task_url or "",
        oracle=oracle,
        training=trained,
        judgement=judgement,
        sheet=sheet,
        seconds=time.monotonic() - started,
    )


class _Calls:
    """Calls of stages in the demonstration's workspace."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder = folder
        self._progress = progress

    def __call__(self, *overrides: str, run: str | None = None) -> Call:
        conf = str(self._folder / "conf")
        return Call(
            overrides=overrides, config=conf, run=run, progress=self._progress, command_line=("demo",)
        )


def project_of(url: str, pictures: DemoPictures) -> int:
    """Make a project with a label for each species, and return its id."""
    session = CvatSession.open(Credentials(url, *ACCOUNT))
    labels = [NewLabel(name, type="mask") for name in sorted(set(pictures.species.values()))]
    return create_project(session, "Field scenes", labels).id


def settings_of(
    folder: Path, project_id: int, pictures: DemoPictures, epochs: int | None, seed: int, *, real: bool
) -> dict[str, dict[str, object]]:
    """Return the settings of a demonstration by group, as its pictures want them."""
    return {
        "io": {"semif_storage_dir": str(pictures.folder)},
        "db": {"semif": {"db_path": str(folder / "semif.db")}},
        "cvat_upload": {
            "project_id": project_id,
            "label_map": {"category_common_name": "{value}", "_default": SEVERAL},
        },
        "preprocess": {
            "max_side": 1024 if real else None,
            "size": {"height": 256, "width": 256},
            "split": {"train": 0.85, "val": 0.15, "test": 0.0},
        },
        "train": {"max_epochs": epochs or (20 if real else 8), "seed": seed, "optimizer": {"lr": 0.002}},
        "seg_inference": {"tile": {"height": 512, "width": 512}},
    }


def _corrected(
    url: str,
    task_ids: list[int],
    pictures: DemoPictures,
    folder: Path,
    tell: Callable[[str], None],
    *,
    human: bool,
) -> OracleReport | None:
    if human:
        wait_for_person(url, task_ids, folder, tell)
        return None
    oracle = _correct(url, task_ids, pictures)
    tell(
        f"Oracle: {oracle.edited} edited, {oracle.accepted} accepted, {oracle.added} added, {oracle.deleted} deleted"
    )
    return oracle


def _correct(url: str, task_ids: list[int], pictures: DemoPictures) -> OracleReport:
    reports = [
        correct_task(
            url,
            ACCOUNT,
            task_id,
            lambda name: pictures.true_mask(Path(name).stem),
            lambda name: pictures.species.get(Path(name).stem),
        )
        for task_id in task_ids
    ]
    names = ("frames", "accepted", "edited", "added", "deleted", "pixels_changed")
    return OracleReport(**{name: sum(getattr(report, name) for report in reports) for name in names})


def _held_out_masks(call: _Calls, out_root: Path, name: str, overrides: tuple[str, ...]) -> Masks:
    query(filters=[f"{SPLIT}={HELD_OUT}"], call=call(f"project.name={name}"))
    infer_seg(call(*overrides))
    return predicted_masks(open_run(out_root, name))
