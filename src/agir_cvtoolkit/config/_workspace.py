"""Settings of the workspace: where things lie and what a run is called."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from agir_cvtoolkit.picture_limit import DEFAULT_MEGAPIXELS, WHOLE_SAMPLES

from ._base import Group


class Io(Group):
    """Where things lie; relative paths start at the working directory."""

    out_root: Path = Path("outputs/runs")
    keys_file: Path = Path(".keys/default.yaml")
    semif_storage_dir: Path | None = None
    field_storage_dir: Path | None = None
    roots: dict[str, str] = Field(default_factory=dict)
    lts_species_info: Path | None = None
    ledger_url: str | None = Field(default=None, repr=False)
    max_megapixels: int = Field(default=DEFAULT_MEGAPIXELS, ge=1, le=100_000)
    sample_bits: int = Field(default=WHOLE_SAMPLES, ge=8, le=16)


class Project(Group):
    """What a run is called; without a name it is a sortable time stamp."""

    name: str | None = None
    subname: str | None = None

    @model_validator(mode="after")
    def _subname_needs_name(self) -> Project:
        if self.subname and not self.name:
            raise ValueError("project.subname needs project.name")
        return self


RETIRED = {
    "cvat_upload.project_name": "name the project by id: cvat_upload.project_id",
    "working_dir": "paths start at the working directory; see io.out_root",
    "runtime": "it is written into cfg.<stage>.yaml of the run and cannot be set",
    "paths": "see io.out_root, io.semif_storage_dir, io.field_storage_dir and io.roots",
    "query": "pass options to the query command, for example --filters and --limit",
    "seed": "see train.seed and preprocess.split.seed",
}
