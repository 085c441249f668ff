from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path

import pytest

from agir_cvtoolkit.config import Workers, load_settings
from agir_cvtoolkit.engines import Bounds, Processes, RayCluster, Threads
from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.runs import Run
from agir_cvtoolkit.stages import infer_pose, infer_seg
from agir_cvtoolkit.stages._engine import devices_of, engine_of, is_here
from agir_cvtoolkit.stages._predict_records import SegmentationWork


def chosen(**values: object) -> Workers:
    return Workers.model_validate(values)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["H200 (139 GiB)", "H200 (139 GiB)", "T4 (15 GiB)"]
    monkeypatch.setattr("agir_cvtoolkit.models.devices.describe_devices", lambda: names)


def test_all_visible_gpus_are_used_each_by_a_process(gpus: None) -> None:
    devices = devices_of("auto", chosen())
    assert devices == ("cuda:0", "cuda:1", "cuda:2")
    assert engine_of(chosen(), devices) == Processes(3, Bounds())


def test_gpus_are_chosen_by_number(gpus: None) -> None:
    assert devices_of("auto", chosen(gpus=[2, 0])) == ("cuda:2", "cuda:0")
    with pytest.raises(ConfigError, match=r"GPU 3, which is not there.*2: T4"):
        devices_of("auto", chosen(gpus=[0, 3]))


@pytest.mark.parametrize("device", ["cpu", "cuda:1", "mps"])
def test_a_named_device_is_the_only_one(device: str, gpus: None) -> None:
    assert devices_of(device, chosen()) == (device,)


def test_what_needs_no_gpu_stays_here(gpus: None) -> None:
    devices = devices_of("auto", chosen(), on_gpu=False)
    engine = engine_of(chosen(readers=3, megapixels=5), devices)
    assert engine == Threads(Bounds(readers=3, weight=70_000_000))
    assert is_here(engine)


def test_without_gpus_it_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agir_cvtoolkit.models.devices.describe_devices", list)
    assert devices_of("auto", chosen()) == ("cpu",)


def test_processes_and_ray_are_asked_for() -> None:
    assert engine_of(chosen(processes=2), ("cpu",)) == Processes(2, Bounds())
    assert not is_here(Processes(2))
    wanted = chosen(engine="ray", processes=4, ray_address="head:6379")
    assert engine_of(wanted, ("auto",)) == RayCluster("head:6379", 4, Bounds())


def test_what_opens_a_predictor_can_be_sent_to_a_worker(tmp_path: Path) -> None:
    settings = load_settings(("seg_inference.device=cpu", "pose_inference.model=nowhere.pth"))
    opened = partial(infer_seg._opened, settings.seg_inference, None, ("cpu", "cpu"))
    work = SegmentationWork(Run("r", tmp_path), settings.seg_inference, opened)
    steps = pickle.loads(pickle.dumps(work)).open(1)
    assert steps.predictor.name == "excess_green"
    again = pickle.loads(pickle.dumps(partial(infer_pose._opened, settings, ("cpu",))))
    with pytest.raises(ConfigError, match=r"nowhere.pth does not exist"):
        again(0)
