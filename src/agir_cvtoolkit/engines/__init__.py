"""Where work runs: threads of this process, local processes, or a Ray cluster.

An engine takes items through three steps (read, predict, write) and gives their outcomes back in the order of the
items, whatever it runs on. It knows nothing of what the steps do.
"""

from ._processes import Processes
from ._ray import RayCluster
from ._steps import Bounds, Engine, Outcome, Pieces, Steps, Work
from ._threads import Threads

__all__ = [
    "Bounds",
    "Engine",
    "Outcome",
    "Pieces",
    "Processes",
    "RayCluster",
    "Steps",
    "Threads",
    "Work",
]
