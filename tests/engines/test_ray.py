"""What a call finds out about a Ray cluster before it joins one; `tests.stages.test_infer_seg_on_ray` joins."""

from __future__ import annotations

import socket
import sys

import pytest

from agir_cvtoolkit.engines import RayCluster
from agir_cvtoolkit.errors import MissingExtraError, ServerUnreachableError

from .work import Squares


def test_a_cluster_that_is_not_there_is_named_at_once() -> None:
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(ServerUnreachableError, match=address):
            list(RayCluster(address=address).run(Squares(), range(2)))


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"agir-cvtoolkit\[ray\]"):
        list(RayCluster().run(Squares(), range(2)))
