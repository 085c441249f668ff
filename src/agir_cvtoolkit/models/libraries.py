"""The optional libraries of this room, asked for once and by name."""

from __future__ import annotations

from agir_cvtoolkit.errors import MissingExtraError


def require_torch(feature: str) -> None:
    """Check that torch can be imported.

    Args:
        feature: what needs it, in the user's words.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(feature, "train") from error


def require_lightning(feature: str) -> None:
    """Check that torch and Lightning can be imported.

    Raises:
        MissingExtraError: one of them is not installed.
    """
    require_torch(feature)
    try:
        import lightning  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(feature, "train") from error
