from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agir_cvtoolkit.errors import RefusedError
from agir_cvtoolkit.progress import Silent
from agir_cvtoolkit.runs import Run
from agir_cvtoolkit.stages import _pull_exports
from agir_cvtoolkit.stages._pull_exports import fetch_exports
from agir_cvtoolkit.stages._pulled import new_folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """The exports that were asked for; job 8 is refused, job 9 wants to hurt."""
    calls: list[tuple[int, str]] = []

    def export(
        session: object, of: str, job_id: int, path: Path, *, dataset_format: str, save_images: bool
    ) -> Path:
        calls.append((job_id, dataset_format))
        if job_id == 8:
            raise RefusedError("Unknown format")
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("../evil.txt" if job_id == 9 else "default/a.png", b"x")
        return path

    monkeypatch.setattr(_pull_exports, "export_dataset", export)
    return calls


def fetch(run: Run, *jobs: tuple[int, str], dataset_format: str | None = "CamVid 1.0") -> list[str]:
    download = SimpleNamespace(dataset_format=dataset_format, include_images=False, overwrite_existing=False)
    settings = SimpleNamespace(cvat_download=download)
    context: Any = SimpleNamespace(run=run, settings=settings, session=None)
    finished = tuple(SimpleNamespace(id=number, updated_date=date) for number, date in jobs)
    task: Any = SimpleNamespace(task=SimpleNamespace(id=2, name="weeds"), finished=finished)
    return [item.record_id for item in fetch_exports(context, [task], Silent())]


def test_finished_jobs_are_exported_once_until_they_change(
    tmp_path: Path, asked: list[tuple[int, str]]
) -> None:
    run = Run("r", tmp_path)
    folder = new_folder(run, 2, "weeds")
    folder.mkdir(parents=True)
    assert fetch(run, (7, "monday"), dataset_format=None) == []
    assert fetch(run, (7, "monday"), (8, "monday"), (9, "monday")) == ["weeds, job 8", "weeds, job 9"]
    place = folder / "exports" / "CamVid_1.0"
    assert (place / "job_7/default/a.png").read_bytes() == b"x"
    assert sorted(path.name for path in place.iterdir()) == ["job_7", "job_7.json"]
    assert not list(tmp_path.rglob("evil.txt"))
    assert fetch(run, (7, "monday")) == []
    assert fetch(run, (7, "tuesday")) == []
    assert asked == [(7, "CamVid 1.0"), (8, "CamVid 1.0"), (9, "CamVid 1.0"), (7, "CamVid 1.0")]
