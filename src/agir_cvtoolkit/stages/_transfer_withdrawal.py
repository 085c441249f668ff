"""What a transfer has laid here, taken away again."""

from __future__ import annotations

from collections.abc import Collection

from agir_cvtoolkit.runs import write_text

from ._transfer_journal import Journal
from ._transfer_manifest import take_out
from ._transfer_picture import remove_files


def withdraw(journal: Journal, capture_ids: Collection[str]) -> None:
    """Remove the files of captures, and their entries in the folder's manifest; what others have written stays."""
    folder, steps = journal.options.output_dir, journal.steps
    known = [steps[i] for i in capture_ids if i in steps and steps[i].entry is not None]
    for step in known:
        remove_files(journal.run, folder, step)
    names = [step.picture for step in known if not (folder / step.picture).exists()]
    if names:
        take_out(folder, names)
    journal.advance(capture_ids, "dropped")


def take_out_of_run(journal: Journal, capture_ids: Collection[str]) -> None:
    """Remove captures from a run that was finished: lines of both manifests, and files."""
    steps = journal.steps
    gone = {entry.record_id for i in capture_ids if i in steps and (entry := steps[i].entry) is not None}
    left = [entry for entry in journal.run.read_manifest() if entry.record_id not in gone]
    write_text(journal.run.manifest_path, "".join(f"{entry.to_json()}\n" for entry in left))
    withdraw(journal, capture_ids)
