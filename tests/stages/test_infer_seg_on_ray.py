"""``engine=ray`` on a simulated cluster of two nodes on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ray")

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.engines import Bounds, RayCluster, Threads
from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.inference.colour_predictor import ColourPredictor
from agir_cvtoolkit.records import Record
from agir_cvtoolkit.runs import Run, start_run
from agir_cvtoolkit.stages.infer_seg import predict_records
from tests.engines.work import Squares

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    import ray
    from ray.cluster_utils import Cluster

    patch = pytest.MonkeyPatch()
    # Nodes that take the machine's outer address for their own would wait for each other for ever.
    patch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", False)
    patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    node: dict[str, Any] = {
        "num_cpus": 1,
        "node_ip_address": "127.0.0.1",
        "object_store_memory": 80 * 1024 * 1024,
    }
    cluster = Cluster(initialize_head=True, head_node_args=dict(node, include_dashboard=False))
    try:
        cluster.add_node(**node)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]
        patch.undo()


def opened(_worker: int) -> ColourPredictor:
    return ColourPredictor()


class Interrupting:
    """Progress that is interrupted at some step."""

    def __init__(self, at: int) -> None:
        self.left = at

    @contextmanager
    def bar(self, description: str, total: int) -> Iterator[Interrupting]:
        yield self

    def advance(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left == 0:
            raise KeyboardInterrupt


def content(run: Run) -> dict[str, Any]:
    """Return what a run holds, without what a clock says."""
    files = {str(p.relative_to(run.root)): p.read_bytes() for p in run.path("masks").iterdir()}
    lines = [json.loads(line) for line in run.manifest_path.read_text(encoding="utf-8").splitlines()]
    return {"files": files, "lines": [{**line, "inference_time_ms": 0} for line in lines]}


def test_two_nodes_find_what_one_process_does(address: str, tmp_path: Path) -> None:
    import ray

    records = []
    for number in range(10):
        rgb = np.random.default_rng(number).integers(0, 255, (80, 120, 3), dtype=np.uint8)
        Image.fromarray(rgb).save(tmp_path / f"{number}.png")
        records.append(Record(f"r{number}", tmp_path / f"{number}.png"))
    records.insert(4, Record("lost", tmp_path / "nowhere.png"))
    here, there = start_run(tmp_path / "here", "r"), start_run(tmp_path / "there", "r")
    engine = RayCluster(address=address, bounds=Bounds(items=2))
    predict_records(here, records, ColourPredictor(), SegInference(), engine=Threads())
    with pytest.raises(KeyboardInterrupt), there.lock("infer-seg"):
        predict_records(
            there, records, ColourPredictor(), SegInference(), Interrupting(4), engine=engine, opened=opened
        )
    with there.lock("infer-seg"):
        result = predict_records(
            there, records, ColourPredictor(), SegInference(), engine=engine, opened=opened
        )
    assert (result.kept, result.predicted, result.skipped) == (4, 10, 1)
    assert content(there) == content(here)
    with pytest.raises(ConfigError, match="no such GPU"):
        list(engine.run(Squares(impossible=True), range(2)))
    assert not ray.is_initialized()
