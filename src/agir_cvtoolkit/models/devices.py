"""The accelerators of this machine."""

from __future__ import annotations


def describe_devices() -> list[str]:
    """Return the name and memory of each GPU that torch can use; empty where there is none."""
    import torch

    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        return [f"{d.name} ({d.total_memory / 2**30:.0f} GiB)" for d in devices]
    return ["Apple GPU (mps)"] if torch.backends.mps.is_available() else []
