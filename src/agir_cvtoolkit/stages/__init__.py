"""The stages of the loop: each has a plan, which says what would happen, and does it.

Stages introduce the rooms to each other; every command is one of these functions.
"""

from ._call import Call

__all__ = ["Call"]
