"""What surrounds a training: its dice, its silence, and words for a disk that is full."""

from __future__ import annotations

import errno
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from agir_cvtoolkit.errors import DataError

LOUD = ("lightning", "lightning.pytorch", "lightning.fabric", "lightning_utilities", "pytorch_lightning")
"""Loggers that tell in their own words what is told here."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TORN_WRITE = re.compile(r"PytorchStreamWriter|inline_container|iostream error")


@contextmanager
def disk_errors() -> Iterator[None]:
    """Say in words that there is no room; torch tells only that a write was torn."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        full = isinstance(error, OSError) and error.errno in _FULL
        if not full and not (isinstance(error, RuntimeError) and _TORN_WRITE.search(str(error))):
            raise
        raise DataError(
            f"the disk is full or a file could not grow, in mid-training: {error}",
            "Make room there, then start the same command again: it continues from where it last saved.",
        ) from error


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Throw dice that follow from a seed; afterwards all is as it was before."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    exact = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(exact)


@contextmanager
def quiet() -> Iterator[None]:
    """Let Lightning say nothing."""
    loggers = [logging.getLogger(name) for name in LOUD]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
