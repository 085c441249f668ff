"""Reading PyTorch files as tensors and plain values, without running what they say."""

from __future__ import annotations

import pickle
import struct
import warnings
from pathlib import Path

import torch

UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    ImportError,
    ArithmeticError,
    MemoryError,
    struct.error,
)
"""Unpicklers check little by themselves: garbage ends in whatever their stack machine trips on."""


def load_plain(path: Path) -> object:
    """Load a file onto the CPU.

    Raises:
        ValueError: it is no PyTorch file, damaged, or holds more than tensors and plain values.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content: object = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ValueError(f"{path} does not load as plain values: {error}") from error
    return content
