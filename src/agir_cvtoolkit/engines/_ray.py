"""A Ray cluster: one actor for each GPU, or one for each node where there are none."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from agir_cvtoolkit.errors import DataError, MissingExtraError, ServerUnreachableError

from ._line import Line
from ._portable import portable
from ._steps import Bounds, Outcome, Work

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")

_PATIENCE = 10.0


@dataclass(frozen=True)
class RayCluster:
    """Runs work in actors of a Ray cluster, which must see the files that the items name.

    Attributes:
        address: of the cluster (``auto``, ``host:6379``, ``ray://host:10001``); None joins the one that
            ``RAY_ADDRESS`` names, else starts one on this machine.
        actors: how many; None for one on each GPU, or one on each node of a cluster without GPUs.
        bounds: of what is in work at once in each actor.
    """

    address: str | None = None
    actors: int | None = None
    bounds: Bounds = field(default_factory=Bounds)

    def run(self, work: Work[_Item, _Made], items: Sequence[_Item]) -> Iterator[Outcome[_Item, _Made]]:
        """Yield the outcome of each item, in their order; an actor that dies is replaced and tries once more.

        Raises:
            MissingExtraError: Ray is not installed.
            ServerUnreachableError: the cluster cannot be reached.
        """
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError("engine=ray", "ray") from error
        joined = ray.is_initialized()
        if not joined:
            self._join(ray)
        try:
            yield from self._outcomes(ray, work, items)
        finally:
            if not joined:
                ray.shutdown()

    def _join(self, ray: Any) -> None:
        options = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
        address = self.address or os.environ.get("RAY_ADDRESS")
        if address is None:
            # On loopback: nobody else needs to reach a cluster that ends with this call.
            ray.init(_node_ip_address="127.0.0.1", **options)
            return
        try:
            _reach(address)
            ray.init(address=address, **options)
        except (OSError, RuntimeError, ValueError) as error:
            raise ServerUnreachableError(
                f"the Ray cluster {address} cannot be reached: {error}",
                "Check workers.ray_address and RAY_ADDRESS, or leave both out to start a cluster here.",
            ) from error

    def _outcomes(
        self, ray: Any, work: Work[_Item, _Made], items: Sequence[_Item]
    ) -> Iterator[Outcome[_Item, _Made]]:
        gpus = int(ray.cluster_resources().get("GPU", 0))
        nodes = sum(1 for node in ray.nodes() if node["Alive"])
        count = min(self.actors or gpus or nodes, len(items))
        kind = ray.remote(
            num_cpus=0 if gpus else 1,
            num_gpus=min(1.0, gpus / count) if gpus else 0,
            max_concurrency=self.bounds.items,
            max_restarts=-1,
            max_task_retries=1,
            scheduling_strategy="SPREAD",
        )(_Actor)
        actors = [kind.remote(work, number, self.bounds) for number in range(count)]
        asked: dict[Any, tuple[int, int]] = {}
        try:
            for error in ray.get([actor.trouble.remote() for actor in actors]):
                if error is not None:
                    raise error
            yield from _in_order(ray, actors, items, asked, self.bounds.items)
        finally:
            for actor in actors:
                ray.kill(actor)
            # What they have in hand ends with them: nothing may write any more once this call has returned.
            if asked:
                ray.wait(list(asked), num_returns=len(asked), timeout=_PATIENCE)


def _reach(address: str) -> None:
    """Try to connect: Ray itself gives up after minutes only."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()


class _Actor:
    """One worker: calls of `carry` run in threads and share one line."""

    def __init__(self, work: Work[Any, Any], number: int, bounds: Bounds) -> None:
        self._trouble: BaseException | None = None
        try:
            self._line: Line[Any, Any] = Line(work.open(number), bounds)
        except Exception as error:  # noqa: BLE001 - raised again where the work was given
            self._trouble = portable(error)

    def trouble(self) -> BaseException | None:
        return self._trouble

    def carry(self, item: Any) -> Any:
        slot = self._line.slot(item)
        self._line.take(slot)
        return portable(slot.outcome())


def _in_order(
    ray: Any, actors: Sequence[Any], items: Sequence[_Item], asked: dict[Any, tuple[int, int]], window: int
) -> Iterator[Outcome[_Item, Any]]:
    """Keep every actor busy with `window` items, noted in `asked`; yield outcomes in the order of the items."""
    found: dict[int, Any] = {}
    load = [0] * len(actors)
    upcoming = 0
    for number, item in enumerate(items):
        while number not in found:
            while (
                upcoming < len(items) and min(load) < window and upcoming < number + 2 * window * len(actors)
            ):
                place = load.index(min(load))
                asked[actors[place].carry.remote(items[upcoming])] = (upcoming, place)
                load[place] += 1
                upcoming += 1
            for reference in ray.wait(list(asked), num_returns=1)[0]:
                index, place = asked.pop(reference)
                load[place] -= 1
                found[index] = _result(ray, reference)
        yield item, found.pop(number)


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayActorError as error:
        return DataError(
            f"the worker that worked on it was lost twice: {error}",
            "It may lack memory: lower the batch size or the tile.",
        )
