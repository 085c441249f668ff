"""Our predictors in the hands of the official SDK and command line, against the sandbox."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

cvat_sdk = pytest.importorskip("cvat_sdk", reason="the official cvat-sdk is not installed")

import cvat_sdk.auto_annotation as cvataa  # noqa: E402
from cvat_sdk import make_client, models  # noqa: E402

from agir_cvtoolkit.errors import ConfigError  # noqa: E402
from agir_cvtoolkit.masks import Runs, decode  # noqa: E402
from agir_cvtoolkit.outlines import rasterize  # noqa: E402
from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions  # noqa: E402
from agir_cvtoolkit.stages.auto_annotation import create  # noqa: E402

_MODULE = "agir_cvtoolkit.stages.auto_annotation"


def planted() -> tuple[Image.Image, np.ndarray[Any, np.dtype[np.bool_]]]:
    rgb = np.full((60, 80, 3), (130, 105, 80), dtype=np.uint8)
    truth = np.zeros((60, 80), dtype=bool)
    truth[10:40, 20:60] = True
    rgb[truth] = (60, 150, 50)
    return Image.fromarray(rgb), truth


def context(threshold: float | None = None, *, polygons: bool = False) -> Any:
    return SimpleNamespace(frame_name="a.png", conf_threshold=threshold, conv_mask_to_poly=polygons)


def decoded(shape: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    *lengths, left, top, right, bottom = (int(value) for value in shape.points)
    return decode(Runs(np.array(lengths, dtype=np.int32), (left, top, right, bottom)), (80, 60))


def test_masks_are_what_the_predictor_says() -> None:
    function = create(labels="plant=weed")
    assert isinstance(function.spec, cvataa.DetectionFunctionSpec)
    assert [(label.name, label.id) for label in function.spec.labels] == [("weed", 1)]
    image, truth = planted()
    (shape,) = function.detect(context(), image)
    assert (str(shape.type), shape.frame, shape.label_id) == ("mask", 0, 1)
    assert (decoded(shape) & truth).sum() / (decoded(shape) | truth).sum() > 0.9


def test_polygons_where_the_server_wants_them() -> None:
    image, truth = planted()
    function = create()
    (mask,), (polygon,) = function.detect(context(), image), function.detect(context(polygons=True), image)
    assert str(polygon.type) == "polygon"
    drawn = rasterize([np.array(polygon.points).reshape(-1, 2)], (80, 60))
    assert (drawn ^ decoded(mask)).sum() < 0.01 * truth.sum()


def test_a_picture_without_plants_has_no_shapes_and_confidence_counts() -> None:
    function = create(overrides="seg_inference.post_process.threshold=0.05")
    assert function.detect(context(), Image.new("RGB", (32, 32), (130, 105, 80))) == []
    image, _ = planted()
    areas = [decoded(function.detect(context(level), image)[0]).sum() for level in (None, 0.01, 0.95)]
    assert areas[0] == areas[1] > areas[2]
    assert not function.detect(context(1.0), Image.new("L", (32, 32), 80))


def test_wrong_parameters_are_named() -> None:
    with pytest.raises(ConfigError, match=r"knows no class 'plnt'\. Did you mean 'plant'"):
        create(labels="plnt=weed")
    with pytest.raises(ConfigError, match="are no pairs"):
        create(labels="plant")
    with pytest.raises(ConfigError, match="is unknown"):
        create(predictor="ngrdj")
    with pytest.raises(ConfigError, match="does not exist"):
        create(checkpoint="nowhere.pth")


@pytest.fixture
def task(tmp_path: Path) -> Iterator[tuple[str, Any]]:
    """A task of one picture in the sandbox: its address, and the SDK's task."""
    planted()[0].save(tmp_path / "a.png")
    with (
        Sandbox(SandboxOptions(tmp_path / "box")) as running,
        make_client(running.url, credentials=("admin", "admin123")) as client,
    ):
        client.logger.setLevel(logging.ERROR)
        client.config.status_check_period = 0.05
        spec = models.TaskWriteRequest(
            name="t", labels=[models.PatchedLabelRequest(name="weed", type="mask")]
        )
        yield running.url, client.tasks.create_from_data(spec, [tmp_path / "a.png"])


@pytest.mark.integration
def test_the_official_command_line_annotates_a_task(task: tuple[str, Any]) -> None:
    url, made = task
    command = [sys.executable, "-m", "cvat_cli", "--server-host", url, "--auth", "admin:admin123", "task"]
    command += ["auto-annotate", str(made.id), "--function-module", _MODULE]
    command += ["-p", "predictor=str:ngrdi", "-p", "labels=str:plant=weed"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    (shape,) = made.get_annotations().shapes
    _, truth = planted()
    assert (decoded(shape) & truth).sum() / (decoded(shape) | truth).sum() > 0.9
