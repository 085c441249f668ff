"""What a transfer may take: the queue as it stands, or of it the captures that were chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._transfer_options import TransferOptions

if TYPE_CHECKING:
    from agir_cvtoolkit.captures import Capture
    from agir_cvtoolkit.firebase import CaptureStore


def waiting_for(store: CaptureStore, options: TransferOptions, limit: int) -> list[Capture]:
    """Return waiting captures that a transfer may take, those first that it takes first."""
    if not options.only:
        return store.pending(options.priority, limit)
    known = store.get(options.only)
    return [one for i in options.only if (one := known.get(i)) is not None and one.status == "pending"][
        :limit
    ]
