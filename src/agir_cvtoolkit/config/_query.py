"""The groups ``db`` and ``data``: which databases records come from, and what their columns are called."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from ._base import Group


class SemifDatabase(Group):
    """The SemiF database: files, a folder or a server's address; a relative path starts at the working directory."""

    db_path: str | None = Field(default=None, repr=False)
    table: str = Field(default="semif", min_length=1)


class FieldDatabase(Group):
    """The Field database: files, a folder or a server's address; a relative path starts at the working directory."""

    db_path: str | None = Field(default=None, repr=False)
    table: str = Field(default="field_data", min_length=1)


class Db(Group):
    """The databases that ``query --db`` chooses from."""

    semif: SemifDatabase = SemifDatabase()
    field: FieldDatabase = FieldDatabase()


class Columns(Group):
    """What the columns of any table are called."""

    box_column: str = "bbox_xywh"
    box_columns: tuple[str, str, str, str] | None = None
    width_column: str = "fullres_width"
    height_column: str = "fullres_height"
    class_column: str = "category_class_id"
    store_column: str = "ncsu_nfs"


class SemifColumns(Columns):
    """What the columns of a SemiF table are called."""

    path_column: str = "image_path"
    id_column: str = "image_id"
    cutout_id_column: str = "cutout_id"
    common_name_column: str = "category_common_name"


class FieldColumns(Columns):
    """What the columns of a Field table are called."""

    path_column: str = "developed_image_path"
    id_column: str = "image_id"
    cutout_id_column: str = "id"
    common_name_column: str = "common_name"


class Data(Group):
    """Column names; where a table lacks the column named here, the usual name is used."""

    semif: SemifColumns = SemifColumns()
    field: FieldColumns = FieldColumns()


RETIRED: Mapping[str, str] = {
    "db.semif.root_map": "use io.roots",
    "db.field.root_map": "use io.roots",
    "db.root_map": "use io.roots",
    "db.semif.sqlite_path": "use db.semif.db_path",
    "db.field.sqlite_path": "use db.field.db_path",
}
"""Keys of AgIR-CVToolkit and its documentation that are refused, and what to use instead."""
