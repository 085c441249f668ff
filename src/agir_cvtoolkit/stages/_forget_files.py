"""The files that a capture has left on this machine."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.runs import Run, list_runs, read_json_object, write_bytes, write_text

from ._transfer_journal import LINES, PLAN
from ._transfer_manifest import MANIFEST, read_transfer_manifest, take_out

_TEXT = {".json", ".jsonl", ".csv", ".yaml", ".xml", ".txt"}
_LARGEST_TEXT = 50_000_000


def runs_of(out_root: Path) -> list[Run]:
    """Return all runs."""
    return [Run(run_id, out_root / run_id) for run_id in list_runs(out_root)]


def folders_of(runs: Iterable[Run], configured: Path) -> list[Path]:
    """Return the folders that captures were ever transferred to, as far as this workspace knows."""
    found = {configured.absolute(): None}
    for run in runs:
        try:
            plan = read_json_object(run.path(*PLAN))
        except DataError:
            continue
        options = plan.get("options")
        if isinstance(options, dict) and isinstance(options.get("output_dir"), str):
            found[Path(options["output_dir"])] = None
    return [folder for folder in found if folder.is_dir()]


def delivered_to(run: Run, capture_id: str) -> str | None:
    """Return where a run has sent a copy of a capture's picture, as ``host:folder``; None for nowhere."""
    try:
        options = read_json_object(run.path(*PLAN)).get("options")
    except DataError:
        return None
    if not isinstance(options, dict) or options.get("deliver") != "rsync":
        return None
    held = _without_lines(run.path(*LINES), "id", {capture_id}, dry_run=True)
    return f"{options.get('gpusrv_host')}:{options.get('output_dir')}" if held else None


def forget_in_folder(folder: Path, capture_id: str, *, dry_run: bool) -> list[str]:
    """Remove a capture's pictures and their entries in the manifest; return what that was."""
    entries = read_transfer_manifest(folder / MANIFEST)
    named = [name for name, entry in entries.items() if entry.get("firebase_id") == capture_id]
    inside = [folder / Path(name).name for name in named]
    stray = [
        path for path in folder.glob(f"{glob.escape(file_stem(capture_id))}.*") if path.name not in entries
    ]
    pictures = [path for path in dict.fromkeys([*inside, *stray]) if path.is_file()]
    if not dry_run:
        for path in pictures:
            path.unlink()
        if named:
            take_out(folder, named)
    said = [f"picture {path}" for path in pictures]
    return said + [f"entry of {name} in {folder / MANIFEST}" for name in named]


def forget_in_run(run: Run, capture_id: str, *, dry_run: bool) -> list[str]:
    """Remove a capture's files and its lines in the manifest of a run; return what that was."""
    stem = file_stem(capture_id)
    found = [
        path
        for path in sorted(run.root.rglob(f"{glob.escape(stem)}*"))
        if path.is_file() and path.name.split(stem, 1)[1].startswith(".")
    ]
    if not dry_run:
        for path in found:
            path.unlink()
    said = [f"file {path}" for path in found]
    for path, key in ((run.manifest_path, "record_id"), (run.path(*LINES), "id")):
        names = {stem, capture_id}
        count = _without_lines(path, key, names, dry_run=dry_run)
        said += [f"{count} lines of {path}"] if count else []
    return said


def mentions(run: Run, capture_id: str) -> Iterator[Path]:
    """Yield files of a run that still name a capture."""
    names = {json.dumps(name)[1:-1].encode() for name in (capture_id, file_stem(capture_id))}
    names |= {name.encode("utf-8", "surrogatepass") for name in (capture_id, file_stem(capture_id))}
    for path in sorted(run.root.rglob("*")):
        if path.suffix in _TEXT and path.is_file() and path.stat().st_size <= _LARGEST_TEXT:
            content = path.read_bytes()
            if any(name in content for name in names):
                yield path


def redact(path: Path, capture_id: str, stand_in: str) -> None:
    """Put a stand-in where a text file names a capture."""
    content = path.read_bytes()
    for name in (capture_id, file_stem(capture_id)):
        content = content.replace(json.dumps(name)[1:-1].encode(), stand_in.encode())
        content = content.replace(name.encode("utf-8", "surrogatepass"), stand_in.encode())
    write_bytes(path, content)


def _without_lines(path: Path, key: str, names: set[str], *, dry_run: bool) -> int:
    if not path.is_file():
        return 0
    kept, gone = [], 0
    for line in path.read_text(encoding="utf-8", errors="surrogatepass").splitlines():
        try:
            is_it = json.loads(line).get(key) in names
        except (ValueError, AttributeError):
            is_it = False
        gone += is_it
        if not is_it:
            kept.append(line)
    if gone and not dry_run:
        write_text(path, "".join(f"{line}\n" for line in kept))
    return gone
