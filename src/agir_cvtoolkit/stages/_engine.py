"""Which engine a configuration asks for, and on which device each of its workers computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import ConfigError

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Workers
    from agir_cvtoolkit.engines import Bounds, Engine


def engine_of(workers: Workers, devices: tuple[str, ...]) -> Engine:
    """Return the engine.

    Args:
        workers: as configured.
        devices: one for each worker, as `devices_of` gives them.
    """
    from agir_cvtoolkit.engines import Processes, RayCluster, Threads

    bounds = bounds_of(workers)
    if workers.engine == "ray":
        return RayCluster(workers.ray_address, workers.processes, bounds)
    count = workers.processes or len(devices)
    return Threads(bounds) if count == 1 else Processes(count, bounds)


def is_here(engine: Engine) -> bool:
    """Whether an engine works in this process, with what is open in it."""
    from agir_cvtoolkit.engines import Threads

    return isinstance(engine, Threads)


def bounds_of(workers: Workers) -> Bounds:
    """Return how much is in work at once in each process, in bytes: those of so many megapixels of plain pictures."""
    from agir_cvtoolkit.engines import Bounds
    from agir_cvtoolkit.picture_memory import A_PIXEL

    return Bounds(readers=workers.readers, weight=workers.megapixels * 1_000_000 * A_PIXEL)


def devices_of(device: str, workers: Workers, *, on_gpu: bool = True) -> tuple[str, ...]:
    """Return the devices that workers take in turns: all visible GPUs, or those that were chosen.

    Args:
        device: as configured; anything but ``auto`` stays what it is.
        workers: ``gpus`` chooses among them.
        on_gpu: whether the predictor computes on a GPU where there is one.

    Raises:
        ConfigError: a chosen GPU is not there.
    """
    if device != "auto" or workers.engine == "ray" or not on_gpu:
        return (device,)
    from agir_cvtoolkit.models.devices import describe_devices

    try:
        found = describe_devices()
    except ImportError:  # ONNX Runtime needs no torch
        found = []
    if found and "(mps)" in found[0]:
        return ("mps",)
    chosen = range(len(found)) if workers.gpus is None else workers.gpus
    missing = [number for number in chosen if number >= len(found)]
    if missing:
        seen = ", ".join(f"{number}: {name}" for number, name in enumerate(found)) or "none"
        raise ConfigError(
            f"workers.gpus names GPU {missing[0]}, which is not there", f"GPUs that PyTorch sees: {seen}"
        )
    return tuple(f"cuda:{number}" for number in chosen) or ("cpu",)
