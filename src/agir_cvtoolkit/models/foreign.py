"""What a file is that is no checkpoint of this package, found without unpickling it."""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

_PICKLE_BYTES = 16 * 1024 * 1024

_OURS = "Train one with: agir-cvtoolkit train, and give its model/best.pth"


def describe_foreign(path: Path, content: object = None) -> tuple[str, str]:
    """Say what a refused file is.

    Args:
        path: the file.
        content: what was loaded from it safely, or None where nothing could be.

    Returns:
        The end of a sentence that begins with the file's name, and the next step.
    """
    smp = (
        f"Predict with it by -o seg_inference.model.ckpt_path=smp:{path}, or pull the corrections and train one with:"
        " agir-cvtoolkit train"
    )
    words = _words_of(content) if content is not None else _words_in_pickle(path)
    if words is None:
        return (
            "is damaged or truncated, or no PyTorch file at all",
            "Copy it again from where it was trained; " + _OURS[0].lower() + _OURS[1:],
        )
    if "pytorch-lightning_version" in words:
        inner = " around a model of segmentation-models-pytorch" if _looks_like_smp(words) else ""
        return f"is a training checkpoint of Lightning{inner}, not a model of this package", (
            smp if inner else "Give the model/best.pth that this package's train wrote."
        )
    if _looks_like_smp(words):
        return "is a plain state dict of segmentation-models-pytorch (encoder.*, decoder.*)", smp
    if content is None:
        return (
            "is a pickle that would have to run code to be read; nothing of it was executed",
            "Use it only with the tool that wrote it. " + _OURS,
        )
    return "is a PyTorch file, but not a model of this package", _OURS


def _looks_like_smp(words: set[str]) -> bool:
    names = [word.removeprefix("model.") for word in words]
    heads = ("decoder.", "segmentation_head.")
    return any(n.startswith("encoder.") for n in names) and any(n.startswith(heads) for n in names)


def _words_of(content: object) -> set[str]:
    words: set[str] = set()
    if isinstance(content, Mapping):
        words |= {str(key) for key in content}
        inner = content.get("state_dict")
        if isinstance(inner, Mapping):
            words |= {str(key) for key in inner}
    return words


def _words_in_pickle(path: Path) -> set[str] | None:
    """Return the texts in a file's pickle, read opcode by opcode; None where there is no whole pickle."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if name.endswith("data.pkl")]
                if not names:
                    return None
                with archive.open(names[0]) as stream:
                    return _texts(pickletools.genops(stream.read(_PICKLE_BYTES)))
        with path.open("rb") as stream:
            head = stream.read(_PICKLE_BYTES)
            return _texts(pickletools.genops(head)) if head[:1] == b"\x80" else None
    except (
        OSError,
        ValueError,
        zipfile.BadZipFile,
        NotImplementedError,
        EOFError,
        KeyError,
        IndexError,
        UnicodeDecodeError,
        RuntimeError,
    ):
        return None


def _texts(opcodes: Iterable[tuple[pickletools.OpcodeInfo, object, int | None]]) -> set[str]:
    return {argument for _, argument, _ in opcodes if isinstance(argument, str)}
