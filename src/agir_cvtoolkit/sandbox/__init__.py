"""The embedded server that answers like CVAT, 2.42 or another version, for laptops, demonstrations and tests.

It imitates the unfriendly parts too: silent drops, requests that cannot be repeated, HTML errors. The oracle,
a simulated annotator, lies in `sandbox.oracle`.
"""

from __future__ import annotations

from .faults import Fault, load_faults
from .generation import GENERATIONS, Generation, generation_of
from .options import SandboxOptions
from .server import Sandbox, serve
from .work import LIKE_CVAT_2_42, SimulatedWork

__all__ = [
    "GENERATIONS",
    "LIKE_CVAT_2_42",
    "Fault",
    "Generation",
    "Sandbox",
    "SandboxOptions",
    "SimulatedWork",
    "generation_of",
    "load_faults",
    "serve",
]
