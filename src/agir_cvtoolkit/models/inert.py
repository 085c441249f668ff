"""Tensors out of a PyTorch file that holds other objects too, none of which comes to life.

Training checkpoints of other tools hold settings, paths and callbacks beside their weights, which
``torch.load(weights_only=True)`` refuses. Here what rebuilds tensors is let through, objects of libraries that belong
into such files become empty stand-ins, and a file that asks for anything else (a system call, say) is refused. No
function that a file names is ever called but those for tensors.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch._utils import _rebuild_parameter, _rebuild_tensor_v2

from .plain import UNREADABLE

_REAL = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch", "Size"): torch.Size,
}
_EXPECTED = (
    "agir_cvtoolkit",
    "argparse",
    "collections",
    "datetime",
    "enum",
    "lightning",
    "lightning_fabric",
    "numpy",
    "omegaconf",
    "pathlib",
    "pytorch_lightning",
    "segmentation_models_pytorch",
    "torch",
    "typing",
)
_EXPECTED_BUILTINS = (
    "bool", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object", "set", "slice", "str", "tuple"
)  # fmt: skip
_EXPECTED_OTHERS = frozenset({("copyreg", "_reconstructor"), ("_codecs", "encode")})


class RefusedFileError(ValueError):
    """A file asks for what no checkpoint needs."""


class _StandIn(dict[Any, Any]):
    """Takes whatever an object would be given, and is nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def __setstate__(self, _state: object) -> None:
        """Forget it."""

    def append(self, _value: object) -> None:
        """Forget it."""

    def extend(self, _values: object) -> None:
        """Forget them."""

    def add(self, _value: object) -> None:
        """Forget it."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) in _REAL:
            return _REAL[module, name]
        expected = (
            module.partition(".")[0] in _EXPECTED
            or (module == "builtins" and name in _EXPECTED_BUILTINS)
            or (module, name) in _EXPECTED_OTHERS
        )
        if expected:
            return _StandIn
        raise RefusedFileError(f"it asks for {module}.{name}")


def _no_legacy(*_: object, **__: object) -> None:
    raise RefusedFileError("it is of a format of 2019 or older")


def load_inert(path: Path) -> object:
    """Load a file onto the CPU: tensors and plain values, everything else as empty stand-ins.

    Raises:
        RefusedFileError: it asks for what no checkpoint needs, or is a program (TorchScript).
        ValueError: it is no PyTorch file, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("constants.pkl") for name in archive.namelist()):
                raise RefusedFileError("it is a TorchScript program")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pickling = SimpleNamespace(__name__="inert", Unpickler=_Unpickler, load=_no_legacy)
            # Safe for the unpickler above: it makes nothing but tensors and stand-ins.
            content: object = torch.load(
                path,
                map_location="cpu",
                pickle_module=pickling,
                weights_only=False,
            )
    except RefusedFileError:
        raise
    except (*UNREADABLE, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} does not load: {error}") from error
    return content
