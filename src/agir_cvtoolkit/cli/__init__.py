"""The command line: parse, call a stage, print. Nothing else.

`--help` loads nothing but click; each command's module is imported when it is called.
"""

from ._main import main

__all__ = ["main"]
