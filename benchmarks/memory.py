"""Peak memory of the commands: with more pictures, and on a picture of 61 megapixels.

Every figure is the peak resident memory of a fresh process that runs the command line as a user types it.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from agir_cvtoolkit.demo.scenes import draw_scenes
from agir_cvtoolkit.pictures import load_rgb

from ._process import measured
from ._sandbox import PASSWORD, USERNAME, sandbox_process
from ._table import Row, finish, parser, size_of

TITLE = "Peak memory"
LIMIT_MB = 2000
SLACK_MB = 12
"""How much a peak may differ between numbers of pictures: few do not fill the buffers of fixed size."""

DIFFERENT = 8
LARGE = (9560, 6368)
LARGE_NAME = f"{LARGE[0] * LARGE[1] / 1e6:.0f} MP"


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure all commands."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        scenes = _scenes(root / "scenes", options.size)
        inferring, pushing = {}, {}
        with sandbox_process(root / "sandbox") as url:
            for count in options.counts:
                folder = root / f"pictures-{count}"
                megabytes = _copies(scenes, folder / "pictures", count)
                _query(folder, count)
                inferring[count] = peak_of(["infer-seg", "--quiet"], folder)
                account = {"CVAT_URL": url, "CVAT_USERNAME": USERNAME, "CVAT_PASSWORD": PASSWORD}
                pushing[count] = peak_of(["upload-cvat", "--quiet"], folder, account)
                shutil.rmtree(folder)
        return [
            _growth("infer-seg", inferring, megabytes),
            _growth("upload-cvat", pushing, megabytes),
            *_large(root / "large", options),
        ]


def peak_of(arguments: list[str], folder: Path, extra: dict[str, str] | None = None) -> float:
    """Run ``agir-cvtoolkit`` with `arguments` in `folder` and return its peak in MB (10^6 bytes)."""
    return measured("agir_cvtoolkit", arguments, folder, extra).peak


def _growth(command: str, peaks: dict[int, float], megabytes: float) -> Row:
    first, last = peaks[min(peaks)], peaks[max(peaks)]
    shown = ", ".join(f"{peak:.0f}" for peak in peaks.values())
    return Row(
        f"{command}, {' / '.join(map(str, peaks))} pictures ({megabytes:.0f} MB of files)",
        f"{first:.0f} MB",
        f"{shown} MB",
        f"{last - first:+.0f} MB",
        f"<= +{SLACK_MB} MB",
        last - first <= SLACK_MB,
    )


def _large(folder: Path, options: argparse.Namespace) -> list[Row]:
    (folder / "pictures").mkdir(parents=True)
    _large_picture(folder / "pictures" / "field.jpg", options.large)
    _query(folder, 1)
    rows = [_below("infer-seg with excess green", peak_of(["infer-seg", "--quiet"], folder))]
    if importlib.util.find_spec("torch") is None or options.no_torch:
        return rows
    for name, side in (("at full size", None), ("trained on 2200 pixels", 2200)):
        checkpoint = folder / f"model-{side}" / "best.pth"
        write_untrained(checkpoint, side)
        # Tiles that do not overlap are fewer, in bands of the same size.
        overrides = [f"seg_inference.model.ckpt_path={checkpoint}", "seg_inference.tile.overlap=0"]
        arguments = ["infer-seg", "--quiet", *(part for text in overrides for part in ("-o", text))]
        # Threads that wait for each other on a shared machine would take most of the time.
        rows.append(
            _below(f"infer-seg with a network {name}", peak_of(arguments, folder, {"OMP_NUM_THREADS": "1"}))
        )
    return rows


def _below(name: str, peak: float) -> Row:
    return Row(
        f"{name}, {LARGE_NAME}", f"{LIMIT_MB} MB", f"{peak:.0f} MB", "", f"< {LIMIT_MB} MB", peak < LIMIT_MB
    )


def _query(folder: Path, count: int) -> None:
    peak_of(["build-db", "pictures", "field.db", "--quiet"], folder)
    peak_of(["query", "-o", "db.semif.db_path=field.db", "--limit", str(count), "--quiet"], folder)


def _scenes(folder: Path, size: tuple[int, int]) -> list[Path]:
    drawn = draw_scenes(folder, DIFFERENT, seed=3, size=size)
    return [scene.image for scene in drawn.scenes]


def _copies(scenes: Sequence[Path], folder: Path, count: int) -> float:
    folder.mkdir(parents=True)
    for number in range(count):
        source = scenes[number % len(scenes)]
        shutil.copyfile(source, folder / f"field_{number:04d}{source.suffix}")
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e6


def _large_picture(path: Path, size: tuple[int, int]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        small = load_rgb(draw_scenes(Path(temporary), 1, seed=11, size=(1195, 796)).scenes[0].image)
    large = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(2).integers(0, 12, (64, 64, 3), dtype=np.uint8)
    tiled = np.tile(noise, (size[1] // 64 + 1, size[0] // 64 + 1, 1))[: size[1], : size[0]]
    Image.fromarray(cv2.add(large, tiled)).save(path, quality=92)


def write_untrained(path: Path, max_side: int | None) -> None:
    """Write a network as it is before its first step of training: its memory is that of a trained one."""
    from agir_cvtoolkit.models.card import ArchSpec, ModelCard, TrainedOn
    from agir_cvtoolkit.models.checkpoint import save_checkpoint
    from agir_cvtoolkit.models.registry import build

    path.parent.mkdir(parents=True)
    architecture = ArchSpec(encoder_weights=None)
    card = ModelCard("unet-efficientnet_lite0", "", architecture, trained_on=TrainedOn(max_side=max_side))
    save_checkpoint(path, build(architecture), card)


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument(
        "--counts", type=int, nargs="+", default=[50, 200, 800], help="numbers of pictures, ascending"
    )
    made.add_argument("--size", type=size_of, default=(800, 600), help="of these pictures")
    made.add_argument("--large", type=size_of, default=LARGE, help="of the large picture")
    made.add_argument("--no-torch", action="store_true")
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
