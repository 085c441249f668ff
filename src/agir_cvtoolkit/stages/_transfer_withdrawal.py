"""What a transfer has laid here, taken away again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from agir_cvtoolkit.runs import list_runs, write_text

from ._transfer_journal import Journal, finished_journals
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


class EarlierTransfers:
    """The finished transfers of a workspace that brought some captures of a store.

    Args:
        out_root: where their runs lie.
        place: of the store.

    Raises:
        DataError: the journal of a run is damaged.
    """

    def __init__(self, out_root: Path, place: str) -> None:
        # Read before anything is given back: what another transfer brings anew after that is its own.
        runs = list_runs(out_root)
        self._journals = [one for one in finished_journals(out_root, runs) if one.place == place]

    def take_out(self, capture_ids: Iterable[str]) -> None:
        """Take captures out of the runs that they were brought into: lines of both manifests, and files."""
        wanted = set(capture_ids)
        for journal in self._journals:
            theirs = [i for i, step in journal.steps.items() if i in wanted and step.step == "finished"]
            if theirs:
                take_out_of_run(journal, theirs)
