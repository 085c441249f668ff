"""What is labelled or in flight: what a choice leaves out and spreads away from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from agir_cvtoolkit.choosing import Known
from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import AgirError, NoRunError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.records import ManifestEntry
from agir_cvtoolkit.runs import open_run

from ._batch import known_entries
from ._embeddings import Pictured, embeddings_of
from ._mask_candidates import image_of
from ._select_hashes import looks_of


def known_units(settings: Settings, ledger: Ledger, progress: Progress) -> Known:
    """Return what is labelled or in a task, of all runs of the workspace, and what ``select.known_runs`` names.

    How such pictures look is known of those whose files still lie in a run.

    Raises:
        NoRunError: a run of ``select.known_runs`` does not exist.
    """
    wanted = settings.select
    under_way = ledger.under_way()
    ids, contents = set(under_way.units), set(under_way.contents)
    for run_id in wanted.known_runs:
        entries = open_run(Path(settings.io.out_root), run_id).read_manifest()
        ids |= {entry.record_id for entry in entries}
        contents |= {entry.sha256 for entry in entries if entry.sha256}
    pictured = _pictures(settings, ledger, sorted(ids))
    contents |= set(pictured)
    hashes = looks_of(pictured, ledger, progress)
    hashes |= {
        sha256: phash
        for sha256, phash in ledger.perceptual_hashes(sorted(contents)).items()
        if phash is not None
    }
    found = None
    if pictured and _needs_embeddings(settings):
        made = embeddings_of(
            [Pictured(sha256, path) for sha256, path in pictured.items()],
            Path(settings.io.out_root),
            wanted.embeddings,
            device=wanted.device,
            progress=progress,
        )
        if made is not None:
            found = made.rows[[place for place in range(len(pictured)) if place not in made.failed]]
    return Known(
        ids=frozenset(ids),
        contents=frozenset(contents),
        hashes=np.array([hashes[sha256] for sha256 in sorted(hashes)], dtype=np.uint64) if hashes else None,
        embeddings=found,
        class_counts={name.casefold(): float(count) for name, count in ledger.records_by_label().items()},
    )


def corrected_shares(ledger: Ledger) -> Mapping[str, float]:
    """Return of each class, in small letters, the share of its shapes that people did not take as they were proposed."""
    found = {}
    for label, outcomes in ledger.outcomes_by_label().items():
        shapes = {outcome: count for outcome, count in outcomes.items() if outcome != "empty"}
        if total := sum(shapes.values()):
            found[label.casefold()] = 1 - shapes.get("accepted", 0) / total
    return found


def _needs_embeddings(settings: Settings) -> bool:
    return settings.select.embeddings != "none"


def _pictures(settings: Settings, ledger: Ledger, ids: Sequence[str]) -> dict[str, Path]:
    """Return the files of pictures, by content, as far as a run still has them."""
    by_run: dict[str, set[str]] = defaultdict(set)
    for record_id, (run_id, _) in ledger.pictures_of(ids).items():
        by_run[run_id].add(record_id)
    for run_id in settings.select.known_runs:
        by_run[run_id] |= set(ids)
    found: dict[str, Path] = {}
    for run_id, records in sorted(by_run.items()):
        with suppress(NoRunError):
            run = open_run(Path(settings.io.out_root), run_id)
            for entry in known_entries(run):
                if entry.record_id in records and entry.region_of is None:
                    path = image_of(run, entry)
                    if path is not None:
                        found.setdefault(_content(entry, path), path)
    return found


def _content(entry: ManifestEntry, path: Path) -> str:
    if entry.sha256 is not None:
        return entry.sha256
    with suppress(AgirError):
        return sha256_of(path)
    return str(path)
