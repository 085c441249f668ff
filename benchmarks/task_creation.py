"""A task of pictures with annotations: our client against a plain script that sends the same requests.

The sandbox runs as a process of its own and takes some time of simulated work for each task. All sides log
in anew, take turns, and end when the shapes were counted. The SDK's figures stand beside for information.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from cvat_sdk import Client, models
from PIL import Image

from agir_cvtoolkit.cvat import (
    Credentials,
    CvatSession,
    NewLabel,
    PictureToSend,
    Response,
    TaskRequest,
    Transport,
    Urllib3Transport,
    create_project,
    create_task_with_pictures,
    find_jobs,
    write_new,
)
from agir_cvtoolkit.cvat.transport import Body
from agir_cvtoolkit.masks import encode
from agir_cvtoolkit.shapes import Mask

from ._field_masks import field_masks
from ._plain_http import PlainScript
from ._sandbox import PASSWORD, USERNAME, sandbox_process
from ._table import Row, finish, median, parser, seconds, size_of

TITLE = "A task of pictures with annotations"
GATE = 1.15
SDK_ROUNDS = 3


@dataclass(frozen=True)
class Work:
    """What every side has to bring to the server."""

    project_id: int
    size: tuple[int, int]
    files: tuple[Path, ...]
    masks: tuple[Mask, ...]
    points: tuple[list[int], ...]


@dataclass
class _Listening:
    """A transport that notes what is sent."""

    inner: Transport = field(default_factory=Urllib3Transport)
    sent: list[tuple[str, str]] = field(default_factory=list)

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Body | None = None,
        timeout: float = 60.0,
        to_file: Path | None = None,
    ) -> Response:
        self.sent.append((method, "/" + url.split("/", 3)[3].partition("?")[0]))
        return self.inner.send(method, url, headers=headers, body=body, timeout=timeout, to_file=to_file)


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure our client, the plain script and the SDK in turns."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        with sandbox_process(root / "sandbox", options.work) as url:
            work = _work(url, root / "pictures", options.pictures, options.size)
            return _measured(url, work, options)


def _measured(url: str, work: Work, options: argparse.Namespace) -> list[Row]:
    times: dict[str, list[float]] = {"plain": [], "ours": [], "sdk": [], "sdk fast": []}
    requests: dict[str, list[tuple[str, str]]] = {}

    def timed(name: str, make: Callable[[], list[tuple[str, str]]]) -> None:
        started = time.perf_counter()
        sent = make()
        times[name].append(time.perf_counter() - started)
        requests.setdefault(name, sorted(_kinds(sent)))

    _plain(url, work, "warm-up")
    _ours(url, work, "warm-up")
    for turn in range(options.rounds):
        sides: list[tuple[str, Callable[[], list[tuple[str, str]]]]] = [
            ("plain", partial(_plain, url, work, f"plain {turn}")),
            ("ours", partial(_ours, url, work, f"ours {turn}")),
        ]
        for name, make in sides if turn % 2 else sides[::-1]:
            timed(name, make)
        if turn < SDK_ROUNDS and not options.no_sdk:
            timed("sdk", partial(_sdk, url, work, f"sdk {turn}", None))
            timed("sdk fast", partial(_sdk, url, work, f"sdk fast {turn}", 0.1))
    if requests["plain"] != requests["ours"]:
        raise SystemExit(
            f"the script sends {requests['plain']}, our client {requests['ours']}: the measurement is void"
        )
    plain, ours = median(times["plain"]), median(times["ours"])
    paired = median([b / a for a, b in zip(times["plain"], times["ours"], strict=True)])
    what = f"{options.pictures} pictures, {options.work:g} s of server work"
    rows = [
        Row(
            f"{what}, against plain HTTP",
            seconds(plain),
            seconds(ours),
            f"{paired:.2f}",
            f"<= {GATE}",
            paired <= GATE,
        )
    ]
    for name, title in (("sdk", "against the SDK"), ("sdk fast", "against the SDK polling every 0.1 s")):
        if times[name]:
            theirs = median(times[name])
            rows.append(Row(f"{what}, {title}", seconds(theirs), seconds(ours), f"{ours / theirs:.2f}"))
    return rows


def _kinds(sent: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return requests without the ids in them and without those that ask how far the server is."""
    named = [(method, re.sub(r"/\d+", "/#", path).rstrip("/")) for method, path in sent]
    return [(method, path) for method, path in named if not path.startswith("/api/requests/")]


def _plain(url: str, work: Work, name: str) -> list[tuple[str, str]]:
    script = PlainScript(url, USERNAME, PASSWORD)
    _, count = script.make_task(name, work.project_id, work.files, work.points)
    _complete(count, work)
    return script.sent


def _ours(url: str, work: Work, name: str) -> list[tuple[str, str]]:
    transport = _Listening()
    session = CvatSession.open(Credentials(url, USERNAME, PASSWORD), transport=transport)
    pictures = [PictureToSend(file.name, file, *work.size) for file in work.files]
    made = create_task_with_pictures(session, TaskRequest(name=name, project_id=work.project_id), pictures)
    shapes = {made.frame_map.frame_of(p.name): [m] for p, m in zip(pictures, work.masks, strict=True)}
    (job,) = find_jobs(session, task_ids=[made.task_id], required_status=None)
    written = write_new(session, job, shapes, frame_map=made.frame_map)
    _complete(written.found, work)
    return transport.sent


def _sdk(url: str, work: Work, name: str, period: float | None) -> list[tuple[str, str]]:
    with Client(url, check_server_version=False) as client:
        client.login((USERNAME, PASSWORD))
        task = client.tasks.create_from_data(
            models.TaskWriteRequest(name=name, project_id=work.project_id),
            [str(file) for file in work.files],
            data_params={"image_quality": 95, "use_cache": True},
            status_check_period=period,
        )
        frames = {frame.name: number for number, frame in enumerate(task.get_frames_info())}
        label = task.get_labels()[0].id
        shapes = [
            models.LabeledShapeRequest(type="mask", frame=frames[f.name], label_id=label, points=points)
            for f, points in zip(work.files, work.points, strict=True)
        ]
        job = task.get_jobs()[0]
        job.set_annotations(models.LabeledDataRequest(shapes=shapes))
        _complete(len(job.get_annotations().shapes), work)
    return []


def _complete(count: int, work: Work) -> None:
    if count != len(work.files):
        raise SystemExit(f"{count} shapes came back of {len(work.files)}: the measurement is void")


def _work(url: str, folder: Path, count: int, size: tuple[int, int]) -> Work:
    session = CvatSession.open(Credentials(url, USERNAME, PASSWORD))
    project = create_project(session, "benchmark", (NewLabel("weed", "mask"),))
    folder.mkdir(parents=True)
    files = tuple(_picture(folder / f"field_{number:03d}.jpg", number, size) for number in range(count))
    shapes, points = [], []
    for packed in field_masks(None, count, size[0] * size[1] / 1e6):
        # A turned mask is cut where the picture ends.
        mask = np.zeros((size[1], size[0]), dtype=np.bool_)
        found = packed.unpacked()[: size[1], : size[0]]
        mask[: found.shape[0], : found.shape[1]] = found
        runs = encode(mask)
        if runs is None:
            raise SystemExit("a drawn mask is empty")
        shapes.append(Mask(label="weed", runs=runs.lengths, box=runs.box))
        points.append([*runs.lengths.tolist(), *runs.box])
    return Work(project.id, size, files, tuple(shapes), tuple(points))


def _picture(path: Path, seed: int, size: tuple[int, int]) -> Path:
    """Write a JPEG as large as a camera's: soil is as hard to compress as noise."""
    rng = np.random.default_rng(seed)
    rough = rng.normal(110, 30, (size[1], size[0], 1)) + rng.normal(0, 8, (size[1], size[0], 3))
    image = Image.fromarray(rough.clip(0, 255).astype(np.uint8))
    for quality in range(70, 96, 4):
        image.save(path, quality=quality)
        if path.stat().st_size >= size[0] * size[1] / 2:
            break
    return path


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument("--pictures", type=int, default=20)
    made.add_argument("--work", type=float, default=0.3, help="seconds of simulated server work for a task")
    made.add_argument("--size", type=size_of, default=(1600, 1200), help="of the pictures")
    made.add_argument("--rounds", type=int, default=9)
    made.add_argument("--no-sdk", action="store_true")
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
