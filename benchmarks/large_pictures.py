"""Peak memory of prediction on pictures that do not fit into memory, with the extra ``large`` and without.

Every figure is the peak resident memory of a fresh process that runs ``infer-seg`` as a user types it, and the processor
time that it took. Without the extra, Pillow decodes a picture as a whole.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agir_cvtoolkit.demo.scenes import draw_scenes
from agir_cvtoolkit.pictures import load_rgb

from ._process import Measured, measured
from ._sandbox import environment
from ._table import Row, finish, parser
from .memory import write_untrained

TITLE = "Pictures that do not fit into memory"
LIMIT_MB = 600
SLACK_MB = 60
"""How much a peak may grow from the smallest picture that lies on disk to the largest: a row of tiles is wider."""
ON_DISK = 80
"""Megapixels above which a picture lies on disk (`seg_inference.workers.megapixels`)."""

_SMALL = (1200, 800)
_SUFFIXES = ("jpg", "tif", "png")


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure all sizes and kinds of files."""
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        without = _without_the_extra(root / "without")
        network = None if options.no_torch else _network(root)
        for suffix in options.kinds:
            found: dict[str, dict[int, Measured]] = {"colour": {}, "network": {}}
            whole: dict[int, Measured] = {}
            for megapixels in options.sizes:
                folder = root / f"{megapixels}-{suffix}"
                _workspace(folder, megapixels, suffix)
                found["colour"][megapixels] = _predicted(folder, ())
                if not options.no_pillow:
                    whole[megapixels] = _predicted(folder, (), without)
                if network is not None and suffix == options.kinds[0]:
                    found["network"][megapixels] = _predicted(folder, network)
                shutil.rmtree(folder)
            rows += _table(f"excess green, {suffix}", found["colour"], whole)
            rows += _table(f"a small network, {suffix}", found["network"], {})
    return rows


def _table(name: str, ours: dict[int, Measured], whole: dict[int, Measured]) -> list[Row]:
    rows = []
    on_disk = [megapixels for megapixels in ours if megapixels > ON_DISK]
    for megapixels, figure in ours.items():
        baseline = whole.get(megapixels)
        gate = f"< {LIMIT_MB} MB" if megapixels in on_disk else ""
        rows.append(
            Row(
                f"{name}, {megapixels} MP",
                _shown(baseline) if baseline else "",
                _shown(figure),
                f"{figure.peak / baseline.peak:.2f}" if baseline else "",
                gate,
                figure.peak < LIMIT_MB if gate else None,
            )
        )
    if len(on_disk) > 1:
        growth = ours[max(on_disk)].peak - ours[min(on_disk)].peak
        rows.append(
            Row(
                f"{name}, from {min(on_disk)} to {max(on_disk)} MP",
                "",
                f"{growth:+.0f} MB",
                "",
                f"<= +{SLACK_MB} MB",
                growth <= SLACK_MB,
            )
        )
    return rows


def _shown(figure: Measured) -> str:
    return f"{figure.peak:.0f} MB, {figure.processor:.0f} s"


def _predicted(folder: Path, arguments: Sequence[str], extra: dict[str, str] | None = None) -> Measured:
    shutil.rmtree(folder / "outputs" / "runs" / "r" / "history", ignore_errors=True)
    shutil.rmtree(folder / "outputs", ignore_errors=True)
    named = ["-o", "project.name=r"]
    query = ["query", "-o", "db.semif.db_path=field.db", "--quiet", *named]
    measured("agir_cvtoolkit", query, folder)
    threads = {"OMP_NUM_THREADS": "1"}
    return measured("agir_cvtoolkit", ["infer-seg", "--quiet", *arguments], folder, threads | (extra or {}))


def _workspace(folder: Path, megapixels: int, suffix: str) -> None:
    (folder / "pictures").mkdir(parents=True)
    draw_large(folder / "pictures" / f"field.{suffix}", megapixels)
    measured("agir_cvtoolkit", ["build-db", "pictures", "field.db", "--quiet"], folder)


def draw_large(path: Path, megapixels: int) -> None:
    """Draw a field of plants with the noise of a camera, three to two, a few rows at a time."""
    import pyvips

    with tempfile.TemporaryDirectory() as temporary:
        small = load_rgb(draw_scenes(Path(temporary), 1, seed=11, size=_SMALL).scenes[0].image)
    scale = (megapixels * 1_000_000 / (_SMALL[0] * _SMALL[1])) ** 0.5
    scene = pyvips.Image.new_from_memory(small.tobytes(), *_SMALL, 3, "uchar").resize(scale, kernel="linear")
    drawn = np.random.default_rng(2).integers(0, 12, (512, 512, 3), dtype=np.uint8)
    noise = pyvips.Image.new_from_memory(drawn.tobytes(), 512, 512, 3, "uchar")
    noise = noise.replicate(scene.width // 512 + 1, scene.height // 512 + 1)
    field = scene + noise.crop(0, 0, scene.width, scene.height)
    options: dict[str, dict[str, object]] = {
        "jpg": {"Q": 92},
        "tif": {"tile": True, "compression": "lzw"},
        "png": {"compression": 1},
    }
    field.cast("uchar").copy(interpretation="srgb").write_to_file(str(path), **options[path.suffix[1:]])


def _without_the_extra(folder: Path) -> dict[str, str]:
    """Return an environment in which the extra seems not to be installed."""
    folder.mkdir()
    (folder / "pyvips.py").write_text("raise ImportError\n")
    return {"PYTHONPATH": f"{folder}:{environment().get('PYTHONPATH', '')}"}


def _network(root: Path) -> tuple[str, ...] | None:
    if importlib.util.find_spec("torch") is None:
        return None
    checkpoint = root / "model" / "best.pth"
    write_untrained(checkpoint, max_side=None)
    overrides = (f"seg_inference.model.ckpt_path={checkpoint}", "seg_inference.tile.overlap=0")
    return tuple(part for text in overrides for part in ("-o", text))


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument(
        "--sizes", type=int, nargs="+", default=[24, 100, 500], metavar="MP", help="megapixels, ascending"
    )
    made.add_argument("--kinds", nargs="+", default=["jpg", "tif"], choices=_SUFFIXES, help="kinds of files")
    made.add_argument("--no-torch", action="store_true", help="leave out the network")
    made.add_argument("--no-pillow", action="store_true", help="leave out the runs without the extra")
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
