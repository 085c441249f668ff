"""From pictures to the model: how fast a data set is cut, and how long a training waits for its tiles.

The baseline of the cutting is a plain loop that reads with OpenCV, slices and writes PNG, and measures nothing. Waiting
is counted around the loader of a training, as it is configured by default: once with the network on this machine, once
with a stand-in for a GPU that does nothing but take its time for each batch.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from agir_cvtoolkit.config import Preprocess, Train
from agir_cvtoolkit.demo.scenes import draw_scenes
from agir_cvtoolkit.training.dataset import PreparedDataset
from agir_cvtoolkit.training.pairs import Pair, pairs_from_folders
from agir_cvtoolkit.training.preprocess import prepare
from agir_cvtoolkit.training.tiling import starts

from ._process import measured
from ._table import Row, finish, median, parser, seconds, size_of

if TYPE_CHECKING:
    from agir_cvtoolkit.training.batches import Tiles

TITLE = "Cutting a data set, and feeding a training"
WAITING = 0.05
AGAIN = 0.25
SLACK_MB = 40
SIDE = 512


@dataclass(frozen=True)
class Fed:
    """How a training was fed: seconds in all, and of them seconds of waiting for the next batch."""

    total: float
    waiting: float
    batches: int

    @property
    def share(self) -> float:
        """Share of the time that was waiting."""
        return self.waiting / self.total


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure the cutting, its memory, and the feeding."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        pairs = _drawn(root / "in", options.count, options.size)
        settings = Preprocess.model_validate({"size": {"height": SIDE, "width": SIDE}})
        rows, dataset = _cutting(pairs, root, settings, options)
        rows.append(_memory(root, options))
        return [*rows, *_feeding(dataset, options)]


def _cutting(
    pairs: Sequence[Pair], root: Path, settings: Preprocess, options: argparse.Namespace
) -> tuple[list[Row], PreparedDataset]:
    megapixels = options.count * options.size[0] * options.size[1] / 1e6
    single = settings.model_copy(update={"workers": settings.workers.model_copy(update={"readers": 1})})
    plain, ours, one, again, more = [], [], [], [], []
    for _ in range(options.rounds):
        plain.append(_timed(lambda: _plainly(pairs, root / "plain")))
        ours.append(_timed(lambda: prepare(pairs, root / "ours", settings)))
        again.append(_timed(lambda: prepare(pairs, root / "ours", settings)))
        one.append(_timed(lambda: prepare(pairs, root / "one", single)))
        prepare(pairs[: -max(1, len(pairs) // 10)], root / "ours", settings)
        more.append(_timed(lambda: prepare(pairs, root / "ours", settings)))
        dataset = prepare(pairs, root / "kept", settings).dataset
        for name in ("plain", "ours", "one"):
            shutil.rmtree(root / name)
    base, first = median(plain), median(ours)
    what = f"{options.count} pictures, {megapixels:.0f} MP, tiles of {SIDE}"
    rate = f"{seconds(first)} ({megapixels / first:.0f} MP/s)"
    rows = [
        Row(f"preprocess, {what}", seconds(base), rate, f"{first / base:.2f}", "<= 1.00", first <= base),
        Row("  with one worker", seconds(base), seconds(median(one)), f"{median(one) / base:.2f}"),
        Row(
            "  again, nothing new",
            seconds(first),
            seconds(median(again)),
            f"{median(again) / first:.2f}",
            f"<= {AGAIN}",
            median(again) <= AGAIN * first,
        ),
        Row(
            "  again, a tenth of it new",
            seconds(first),
            seconds(median(more)),
            f"{median(more) / first:.2f}",
        ),
    ]
    return rows, dataset


def _plainly(pairs: Sequence[Pair], root: Path) -> None:
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for pair in pairs:
        image = cv2.imread(str(pair.image_path), cv2.IMREAD_COLOR)
        mask = cv2.imread(str(pair.mask_path), cv2.IMREAD_GRAYSCALE)
        if image is None or mask is None:
            raise SystemExit(f"{pair.image_path} cannot be read")
        for top in starts(image.shape[0], SIDE, SIDE):
            for left in starts(image.shape[1], SIDE, SIDE):
                rows, columns = slice(top, top + SIDE), slice(left, left + SIDE)
                name = f"{pair.record_id}_x{left}_y{top}.png"
                cv2.imwrite(str(root / "images" / name), image[rows, columns])
                cv2.imwrite(str(root / "masks" / name), mask[rows, columns])


def _memory(root: Path, options: argparse.Namespace) -> Row:
    """Compare the peaks of ``agir-cvtoolkit preprocess`` on few and on four times as many pictures."""
    peaks = []
    for count in (options.count // 4, options.count):
        folder = root / f"memory-{count}"
        for kind in ("images", "masks"):
            (folder / kind).mkdir(parents=True)
            for path in sorted((root / "in" / kind).iterdir())[:count]:
                (folder / kind / path.name).symlink_to(path)
        peaks.append(_peak(folder))
    growth = peaks[1] - peaks[0]
    return Row(
        f"preprocess, memory, {options.count // 4} / {options.count} pictures",
        f"{peaks[0]:.0f} MB",
        f"{peaks[1]:.0f} MB",
        f"{growth:+.0f} MB",
        f"<= +{SLACK_MB} MB",
        growth <= SLACK_MB,
    )


def _peak(folder: Path) -> float:
    overrides = [
        "preprocess.source.type=custom",
        f"preprocess.source.custom_images_dir={folder / 'images'}",
        f"preprocess.source.custom_masks_dir={folder / 'masks'}",
    ]
    measured("benchmarks.feed", ["--start-run"], folder)
    words = [word for override in overrides for word in ("-o", override)]
    return measured("agir_cvtoolkit", ["preprocess", "--quiet", *words], folder).peak


def _feeding(dataset: PreparedDataset, options: argparse.Namespace) -> list[Row]:
    if importlib.util.find_spec("torch") is None:
        return []
    import torch

    from agir_cvtoolkit.training.batches import tiles_of

    settings = Train(batch_size=options.batch_size)
    tiles = tiles_of(dataset, "train", settings, training=True)
    on_gpu = torch.cuda.is_available()
    cores = os.cpu_count() or 1
    step = _step(dataset, settings, on_gpu=on_gpu)
    network = _fed(tiles, settings, step, cores if on_gpu else 0, options.batches)
    where = "GPU" if on_gpu else "CPU"
    stand_in = _fed(tiles, settings, lambda _: time.sleep(options.step_ms / 1000), cores, options.batches)
    alone = _fed(tiles, settings, lambda _: None, cores, options.batches)
    rate = alone.batches * options.batch_size / alone.total
    return [
        _waiting(f"training on this machine's {where}, batches of {options.batch_size}", network),
        _waiting(f"a model that takes {options.step_ms} ms for a batch, {cores} workers", stand_in),
        Row(f"the loader alone, {cores} workers", "", f"{rate:.0f} tiles/s"),
    ]


def _waiting(name: str, fed: Fed) -> Row:
    each = seconds(fed.total / fed.batches)
    return Row(
        f"waiting: {name}", each, seconds(fed.waiting / fed.batches), f"{fed.share:.3f}", f"<= {WAITING}",
        fed.share <= WAITING,
    )  # fmt: skip


def _fed(tiles: Tiles, settings: Train, step: Callable[[Any], object], workers: int, batches: int) -> Fed:
    from agir_cvtoolkit.training.batches import loader

    feed = loader(tiles, len(tiles), settings, training=True, on_gpu=False, workers=workers)
    waiting = 0.0
    with _endless(feed) as batch_of:
        step(next(batch_of))  # starts the workers, and warms the network up
        started = time.perf_counter()
        for _ in range(batches):
            asked = time.perf_counter()
            batch = next(batch_of)
            waiting += time.perf_counter() - asked
            step(batch)
        return Fed(time.perf_counter() - started, waiting, batches)


@contextmanager
def _endless(feed: Any) -> Iterator[Iterator[Any]]:
    def batches() -> Iterator[Any]:
        while True:
            yield from feed

    running = batches()
    try:
        yield running
    finally:
        running.close()  # type: ignore[attr-defined]


def _step(dataset: PreparedDataset, settings: Train, *, on_gpu: bool) -> Callable[[Any], object]:
    import torch

    from agir_cvtoolkit.models.registry import build
    from agir_cvtoolkit.training.segmentation import architecture

    spec = architecture(settings, len(dataset.classes))
    device = torch.device("cuda" if on_gpu else "cpu")
    network = build(spec).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters())

    def step(batch: Any) -> None:
        pixels, labels = batch[0].to(device), batch[1].to(device).long()
        loss = torch.nn.functional.cross_entropy(network((pixels.float() - 127) / 128), labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        loss.item()  # waits for a GPU

    return step


def _drawn(root: Path, count: int, size: tuple[int, int]) -> list[Pair]:
    drawn = draw_scenes(root / "drawn", count, seed=5, size=size)
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for number, scene in enumerate(drawn.scenes):
        shutil.copyfile(scene.image, root / "images" / f"{number:04d}{scene.image.suffix}")
        shutil.copyfile(scene.mask, root / "masks" / f"{number:04d}{scene.mask.suffix}")
    pairs, items = pairs_from_folders(root / "images", root / "masks")
    if items:
        raise SystemExit(f"{items[0].record_id}: {items[0].reason}")
    return pairs


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument("--count", type=int, default=24, help="pictures to draw, at least 8")
    made.add_argument("--size", type=size_of, default=(2400, 1600), help="of the pictures")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--batch-size", type=int, default=8)
    made.add_argument("--batches", type=int, default=12, help="to measure the waiting with")
    made.add_argument("--step-ms", type=int, default=300, help="of the stand-in for a GPU, for each batch")
    made.add_argument("--start-run", action="store_true", help=argparse.SUPPRESS)
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    if options.start_run:
        from agir_cvtoolkit.runs import start_run

        start_run(Path("outputs/runs"), "feed")
        return 0
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
