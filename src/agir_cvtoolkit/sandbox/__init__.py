"""The embedded server that answers like CVAT 2.42, for laptops, demonstrations and tests.

It imitates the unfriendly parts too: silent drops, requests that cannot be repeated, HTML errors. The oracle,
a simulated annotator, lies in `sandbox.oracle`.
"""

from __future__ import annotations

from .faults import Fault, load_faults
from .options import SandboxOptions
from .server import Sandbox, serve
from .work import LIKE_CVAT_2_42, SimulatedWork

__all__ = [
    "LIKE_CVAT_2_42",
    "Fault",
    "Sandbox",
    "SandboxOptions",
    "SimulatedWork",
    "load_faults",
    "serve",
]
