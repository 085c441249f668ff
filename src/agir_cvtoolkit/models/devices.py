"""The accelerators of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import ConfigError

if TYPE_CHECKING:
    import torch


def describe_devices() -> list[str]:
    """Return the name and memory of each GPU that torch can use; empty where there is none."""
    import torch

    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        return [f"{d.name} ({d.total_memory / 2**30:.0f} GiB)" for d in devices]
    return ["Apple GPU (mps)"] if torch.backends.mps.is_available() else []


def device_for(wanted: str, key: str) -> torch.device:
    """Return the device for ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:<number>`` or ``mps``.

    Args:
        wanted: the device.
        key: the setting that it comes from, named in the error.

    Raises:
        ConfigError: PyTorch does not see it.
    """
    import torch

    if wanted == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    device = torch.device(wanted)
    known = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if (device.index or 0) >= known.get(device.type, 0):
        raise ConfigError(
            f"{key} is {wanted}, which PyTorch does not see here", f"Set {key}=auto or {key}=cpu"
        )
    return device
