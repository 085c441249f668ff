"""The time that a real server would take."""

from __future__ import annotations

from pathlib import Path

import pytest

from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.sandbox import LIKE_CVAT_2_42, SandboxOptions, SimulatedWork


def test_a_number_is_the_time_of_a_task(tmp_path: Path) -> None:
    assert SandboxOptions(tmp_path, simulated_work=0.5).work == SimulatedWork(creation=0.5)
    assert SandboxOptions(tmp_path, simulated_work=LIKE_CVAT_2_42).work is LIKE_CVAT_2_42


def test_only_annotations_cost_by_their_size() -> None:
    work = SimulatedWork(request=1, write_megabyte=10, read_megabyte=100)
    path = "/api/jobs/5/annotations/"
    assert work.of_request("PUT", path, 2_000_000, 2_000_000) == 21
    assert work.of_request("PATCH", path, 1_000_000, 0) == 11
    assert work.of_request("GET", path, 0, 2_000_000) == 201
    assert work.of_request("GET", "/api/jobs/5", 0, 2_000_000) == 1


def test_only_the_first_chunk_of_a_task_is_prepared() -> None:
    work = SimulatedWork(creation=1, chunk_megapixel=2)
    assert work.of_creation(2, [(1000, 1000)] * 5) == 5
    assert work.of_creation(9, [(1000, 1000)]) == 3


def test_no_time_is_negative() -> None:
    with pytest.raises(ConfigError):
        SimulatedWork(request=-1)


def test_the_figures_are_those_of_a_real_server() -> None:
    """A task of 20 pictures of 3 megapixels: some 1.1 s of the worker; with chunks of one some 0.3 s."""
    sizes = [(2048, 1536)] * 20
    assert LIKE_CVAT_2_42.of_creation(23, sizes) == pytest.approx(1.1, abs=0.1)
    assert LIKE_CVAT_2_42.of_creation(1, sizes) == pytest.approx(0.3, abs=0.05)
