"""What a team would do without us: a minimal script over plain HTTP, the official SDK, and ``cvat-cli``.

``python -m benchmarks._rivals {floor,sdk,cli}-{push,pull} URL ID FOLDER``: pushes the pictures in
``FOLDER/images`` with the class masks in ``FOLDER/masks`` into project ID, or pulls task ID into FOLDER.
The id of the task that was made is the last line printed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import cv2
import numpy as np
import urllib3
from numpy.typing import NDArray

from ._sandbox import PASSWORD, USERNAME

GROUP_BYTES = 100 * 1024 * 1024
POLL_SECONDS = 0.1

Mask = NDArray[np.bool_]


def class_masks(path: Path) -> Iterator[tuple[int, Mask]]:
    """Yield each class of a mask file."""
    content = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if content is None:
        raise SystemExit(f"{path} cannot be read")
    for value in np.unique(content):
        if value:
            yield int(value), content == value


def fast_rle(mask: Mask) -> list[int]:
    """Return a mask as CVAT's numbers."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
    flat = mask[top : bottom + 1, left : right + 1].reshape(-1)
    edges = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
    runs = np.diff(edges).tolist()
    return [*([0] if flat[0] else []), *runs, int(left), int(top), int(right), int(bottom)]


def fast_decode(points: list[float], width: int, height: int) -> Mask:
    """Return the mask of CVAT's numbers."""
    numbers = np.asarray(points, dtype=np.int64)
    left, top, right, bottom = numbers[-4:]
    runs = numbers[:-4]
    values = np.arange(len(runs)) % 2 == 1
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[top : bottom + 1, left : right + 1] = np.repeat(values, runs).reshape(
        bottom - top + 1, right - left + 1
    )
    return mask


class Floor:
    """A minimal script: a token, a poll every 0.1 s, one PUT; it checks nothing."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(retries=False)
        self._headers = {"Accept": "application/vnd.cvat+json"}
        login = {"username": USERNAME, "password": PASSWORD}
        self._headers["Authorization"] = f"Token {self.json('POST', '/api/auth/login', login)['key']}"

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
        """Send one request."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self._pool.request(method, self._url + path, body=body, headers=self._headers | named)
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {answer.data[:200]!r}")
        return answer.data

    def json(self, method: str, path: str, content: object, **headers: str) -> Any:
        """Send JSON."""
        return json.loads(
            self.send(method, path, json.dumps(content).encode(), Content_Type="application/json", **headers)
        )

    def get(self, path: str) -> Any:
        """Read JSON."""
        return json.loads(self.send("GET", path))

    def push(self, project: int, folder: Path) -> int:
        """Make one task."""
        files = sorted((folder / "images").iterdir())
        task: int = self.json("POST", "/api/tasks", {"name": "floor", "project_id": project})["id"]
        data = f"/api/tasks/{task}/data/"
        self.send("POST", data, b"", Upload_Start="true")
        for group in _groups(files):
            fields: dict[str, Any] = {"image_quality": "95"}
            for number, file in enumerate(group):
                fields[f"client_files[{number}]"] = (file.name, file.read_bytes())
            body, kind = urllib3.encode_multipart_formdata(fields)
            self.send("POST", data, body, Upload_Multiple="true", Content_Type=kind)
        settings = {"image_quality": 95, "sorting_method": "predefined"}
        settings["upload_file_order"] = [file.name for file in files]
        request = quote(self.json("POST", data, settings, Upload_Finish="true")["rq_id"], safe="")
        while self.get(f"/api/requests/{request}")["status"] not in {"finished", "failed"}:
            time.sleep(POLL_SECONDS)
        frames = {f["name"]: i for i, f in enumerate(self.get(f"/api/tasks/{task}/data/meta")["frames"])}
        labels = {
            label["name"]: label["id"]
            for label in self.get(f"/api/labels?task_id={task}&page_size=100")["results"]
        }
        ids = list(labels.values())
        shapes = [
            {"type": "mask", "frame": frames[file.name], "label_id": ids[value - 1], "points": fast_rle(mask)}
            for file in files
            for value, mask in class_masks(folder / "masks" / f"{file.stem}.png")
        ]
        content = {"version": 0, "tags": [], "tracks": [], "shapes": shapes}
        self.json("PUT", f"/api/tasks/{task}/annotations", content)
        return task

    def pull(self, task: int, folder: Path) -> None:
        """Write the masks of a task."""
        frames = self.get(f"/api/tasks/{task}/data/meta")["frames"]
        labels = [label["id"] for label in self.get(f"/api/labels?task_id={task}&page_size=100")["results"]]
        found = self.get(f"/api/tasks/{task}/annotations")
        by_frame: dict[int, list[Any]] = {}
        for shape in found["shapes"]:
            by_frame.setdefault(shape["frame"], []).append(shape)
        for number, frame in enumerate(frames):
            canvas = np.zeros((frame["height"], frame["width"]), dtype=np.uint8)
            for shape in by_frame.get(number, ()):
                mask = fast_decode(shape["points"], frame["width"], frame["height"])
                canvas[mask] = labels.index(shape["label_id"]) + 1
            _save(folder, frame["name"], canvas)


def _groups(files: list[Path]) -> Iterator[list[Path]]:
    group: list[Path] = []
    size = 0
    for file in files:
        length = file.stat().st_size
        if group and size + length > GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(file)
        size += length
    yield group


def _save(folder: Path, name: str, mask: NDArray[np.uint8]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{Path(name).stem}.png"), mask)


def sdk_push(url: str, project: int, folder: Path) -> int:
    """Make one task as the SDK's documentation shows it."""
    from cvat_sdk import make_client, masks, models

    files = sorted((folder / "images").iterdir())
    with make_client(url, credentials=(USERNAME, PASSWORD)) as client:
        task = client.tasks.create_from_data(
            models.TaskWriteRequest(name="sdk", project_id=project),
            [str(file) for file in files],
            data_params={"image_quality": 95, "sorting_method": "predefined"},
        )
        frames = {frame.name: number for number, frame in enumerate(task.get_frames_info())}
        ids = [label.id for label in task.get_labels()]
        shapes = [
            models.LabeledShapeRequest(
                type="mask", frame=frames[file.name], label_id=ids[value - 1], points=masks.encode_mask(mask)
            )
            for file in files
            for value, mask in class_masks(folder / "masks" / f"{file.stem}.png")
        ]
        task.set_annotations(models.LabeledDataRequest(shapes=shapes))
        return int(task.id)


def sdk_pull(url: str, task_id: int, folder: Path) -> None:
    """Write the masks of a task as the SDK reads them."""
    from cvat_sdk import make_client, masks

    with make_client(url, credentials=(USERNAME, PASSWORD)) as client:
        task = client.tasks.retrieve(task_id)
        frames = task.get_frames_info()
        ids = [label.id for label in task.get_labels()]
        canvases = [np.zeros((frame.height, frame.width), dtype=np.uint8) for frame in frames]
        for shape in task.get_annotations().shapes:
            canvas = canvases[shape.frame]
            mask = masks.decode_mask(shape.points, image_width=canvas.shape[1], image_height=canvas.shape[0])
            canvas[mask] = ids.index(shape.label_id) + 1
        for frame, canvas in zip(frames, canvases, strict=True):
            _save(folder, frame.name, canvas)


def cli_push(url: str, project: int, folder: Path) -> int:
    """Make one task by ``cvat-cli task create`` with its annotations as a file in "CVAT 1.1"."""
    files = sorted((folder / "images").iterdir())
    names = ("crop", "weed", "soil")
    with tempfile.TemporaryDirectory() as temporary:
        archive = Path(temporary) / "annotations.zip"
        parts = ['<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>']
        for number, file in enumerate(files):
            shapes = []
            height = width = 0
            for value, mask in class_masks(folder / "masks" / f"{file.stem}.png"):
                height, width = mask.shape
                *runs, left, top, right, bottom = fast_rle(mask)
                listed = ", ".join(map(str, runs))
                shapes.append(
                    f'<mask label="{names[value - 1]}" occluded="0" z_order="0" rle="{listed}" left="{left}"'
                    f' top="{top}" width="{right - left + 1}" height="{bottom - top + 1}"></mask>'
                )
            parts.append(
                f'<image id="{number}" name={quoteattr(file.name)} width="{width}" height="{height}">'
            )
            parts += [*shapes, "</image>"]
        parts.append("</annotations>")
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
            opened.writestr("annotations.xml", "".join(parts))
        words = ["task", "create", "cli", "--project_id", str(project), "--image_quality", "95"]
        words += ["--annotation_path", str(archive), "--annotation_format", "CVAT 1.1", "local"]
        made = _cli(url, [*words, *(str(file) for file in files)])
    return int(made.split()[-1])


def cli_pull(url: str, task_id: int, folder: Path) -> None:
    """Write the masks of a task that ``cvat-cli task export-dataset`` fetched."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "export.zip"
        _cli(url, ["task", "export-dataset", str(task_id), str(path)])
        with zipfile.ZipFile(path) as archive, archive.open("annotations.xml") as stream:
            for _, image in ElementTree.iterparse(stream):
                if image.tag != "image":
                    continue
                canvas = np.zeros((int(image.attrib["height"]), int(image.attrib["width"])), dtype=np.uint8)
                for mask in image.iter("mask"):
                    _draw(canvas, mask.attrib)
                _save(folder, image.attrib["name"], canvas)
                image.clear()


def _draw(canvas: NDArray[np.uint8], mask: dict[str, str]) -> None:
    left, top, width, height = (int(mask[name]) for name in ("left", "top", "width", "height"))
    runs = [float(run) for run in mask["rle"].split(",")]
    points = [*runs, left, top, left + width - 1, top + height - 1]
    found = fast_decode(points, canvas.shape[1], canvas.shape[0])
    canvas[found] = ("crop", "weed", "soil").index(mask["label"]) + 1


def _cli(url: str, words: list[str]) -> str:
    import contextlib
    import io

    from cvat_cli.__main__ import main as cvat_cli

    parts = urlsplit(url)
    os.environ["PASS"] = PASSWORD
    server = ["--auth", USERNAME, "--server-host", f"{parts.scheme}://{parts.hostname}"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = cvat_cli([*server, "--server-port", str(parts.port), *words])
    if code:
        raise SystemExit(f"cvat-cli ended with {code}")
    return printed.getvalue()


def main() -> None:
    """Run one of them."""
    what, url, number, place = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    known: dict[str, Callable[[], object]] = {
        "floor-push": lambda: Floor(url).push(number, place),
        "floor-pull": lambda: Floor(url).pull(number, place),
        "sdk-push": lambda: sdk_push(url, number, place),
        "sdk-pull": lambda: sdk_pull(url, number, place),
        "cli-push": lambda: cli_push(url, number, place),
        "cli-pull": lambda: cli_pull(url, number, place),
    }
    print(known[what]())


if __name__ == "__main__":
    main()
