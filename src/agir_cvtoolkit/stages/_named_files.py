"""Whether the files that a ledger names are there, and which of them can only be looked for on another machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agir_cvtoolkit.ledger import Finding, NamedFile, Workspace
from agir_cvtoolkit.runs import list_runs


@dataclass(frozen=True)
class Elsewhere:
    """Files of a run, or a model, that lie on another machine or in another folder of this one.

    Attributes:
        subject: such as ``run 20260101-120000``.
        host: of that machine; None where an earlier version did not record it.
        folder: of its runs, or of the model.
        files: how many.
    """

    subject: str
    host: str | None
    folder: str | None
    files: int = 1

    def __str__(self) -> str:
        if self.host is None:
            return f"{self.subject} is not here, and an earlier version did not record where it lies, not checked"
        return f"{self.subject} lives on host {self.host} in {self.folder}, not checked"


@dataclass(frozen=True)
class FileSearch:
    """What came of looking for files.

    Attributes:
        looked_for: how many could be.
    """

    findings: tuple[Finding, ...]
    elsewhere: tuple[Elsewhere, ...]
    looked_for: int


def search(
    out_root: Path, files: Sequence[NamedFile], removed: frozenset[str], here: Workspace, *, shared: bool
) -> FileSearch:
    """Look for files; what is recorded of another machine is not missing because it is not here.

    Args:
        out_root: the folder of all runs of this workspace.
        files: that the ledger names.
        removed: runs whose folders were removed on purpose.
        here: this workspace.
        shared: the ledger may be used by other machines, so that a run of which nobody recorded where it lies may be
            on one of them.
    """
    runs = set(list_runs(out_root))
    findings: list[Finding] = []
    gone: dict[str, int] = {}
    elsewhere: dict[str, Elsewhere] = {}
    for file in files:
        of_run = f"of run {file.run_id}" if file.run_id else ""
        run_is_gone = file.run_id is not None and file.run_id not in runs
        if _is_there(out_root, file):
            continue
        is_model = file.what in {"champion", "model"}
        other = _other_place(file, here, shared=shared) if run_is_gone or is_model else None
        if run_is_gone and file.run_id in removed and file.what != "champion":
            continue
        if other is not None:
            subject = f"{file.what} {file.path}" if is_model else f"run {file.run_id}"
            known = elsewhere.get(subject, replace(other, subject=subject, files=0))
            elsewhere[subject] = replace(known, files=known.files + 1)
        elif run_is_gone and file.what != "champion":
            gone[str(file.run_id)] = gone.get(str(file.run_id), 0) + 1
        else:
            subject = f"{file.what} {of_run}".rstrip()
            findings.append(Finding(subject, f"{file.path} is missing", _NEXT[file.what]))
    for run_id, count in sorted(gone.items()):
        step = "Bring its folder back, or set io.out_root to where it is."
        findings.append(Finding(f"run {run_id}", f"its folder is missing, with {count} files", step))
    apart = tuple(elsewhere[subject] for subject in sorted(elsewhere))
    return FileSearch(tuple(findings), apart, len(files) - sum(place.files for place in apart))


def _other_place(file: NamedFile, here: Workspace, *, shared: bool) -> Elsewhere | None:
    """Return where else a file may be that is not here, None where it should be here."""
    if not file.places:
        return Elsewhere("", None, None) if shared and file.run_id is not None else None
    others = [place for place in file.places if place != here and not _is_searched(place, here, file)]
    if len(others) < len(file.places):
        return None
    return Elsewhere("", others[0].host, others[0].folder)


def _is_searched(place: Workspace, here: Workspace, file: NamedFile) -> bool:
    """Whether a place is on this machine, and the file is not in it: then it is missing."""
    if place.host != here.host:
        return False
    if file.what in {"champion", "model"}:
        return True  # its path is absolute
    return not (file.run_id is not None and (Path(place.folder) / file.run_id).is_dir())


def _is_there(out_root: Path, file: NamedFile) -> bool:
    path = Path(file.path)
    if path.is_absolute() or file.run_id is None:
        return path.exists()
    root = out_root / file.run_id
    # An earlier pass keeps its masks under history.
    return (root / path).exists() or any(root.glob(f"history/*/*/{_quoted(file.path)}"))


def _quoted(text: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)


_NEXT = {
    "prediction": "Run infer-seg again in this run.",
    "model": "Train again, or bring the file back.",
    "champion": "Promote another model: agir-cvtoolkit promote",
    "reading": "Run download-cvat again in this run.",
}
