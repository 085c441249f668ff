"""``build-db``: make a small SemiF or Field database from a folder of pictures and a CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.errors import DataError, PictureError, UsageError
from agir_cvtoolkit.pictures import glance
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.sources.building import check_replaceable, write_database
from agir_cvtoolkit.sources.csv_table import read_table

from ._call import Call

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
_NOT_PICTURES = ("mask", "label", "annotation", "cutout", "overlay")
_PATH_COLUMNS = (
    "image_path",
    "developed_image_path",
    "image_file",
    "full_path",
    "path",
    "file",
    "filename",
    "file_name",
    "image",
    "picture",
)
_MASK_COLUMNS = ("mask_path", "mask_file", "final_mask_path", "mask")
_NO_CSV_COLUMNS = (
    "datetime",
    "season",
    "batch_id",
    "state",
    "category_common_name",
    "category_class_id",
    "bbox_xywh",
)

_USUAL = frozenset(
    {*_PATH_COLUMNS, *_MASK_COLUMNS, *_NO_CSV_COLUMNS, "id", "cutout_id", "image_id", "source_image_path"}
    | {"fullres_width", "fullres_height"}
)

_Row = dict[str, str | None]


@dataclass(frozen=True)
class BuildResult:
    """What a database was made of.

    Attributes:
        db_path: the database.
        table: its table.
        rows: in the table.
        columns: of the table with their types, in order.
        pictures_root: the folder at which the paths in the table start; recorded in the database.
        pictures: different pictures that the rows name and that exist.
        missing: rows whose picture does not exist or cannot be opened; they are in the table all the same.
        without_row: pictures in the folder that no row names, relative to it.
        dry_run: nothing was written.
    """

    db_path: Path
    table: str
    rows: int
    columns: tuple[tuple[str, str], ...]
    pictures_root: Path
    pictures: int
    missing: tuple[Item, ...] = ()
    without_row: tuple[str, ...] = ()
    dry_run: bool = False


def build_db(
    folder: Path,
    csv: Path | None,
    db_path: Path,
    table: str = "semif",
    *,
    force: bool = False,
    call: Call | None = None,
) -> BuildResult:
    """Make a database that ``query`` can read from a folder of pictures.

    With a CSV every line becomes a row. Its picture is the first file that exists of those that its path
    columns name, else the one picture whose name without suffix is the image id; the path is stored
    relative to the folder. What is missing is added: image and cutout ids, and from the picture itself
    the full-resolution size, to which boxes refer. Without a CSV every picture becomes a row, but not
    those in folders of masks or labels.

    Args:
        folder: holds the pictures.
        csv: one line per cutout or picture, UTF-8, with a header.
        db_path: the database; one that was made by this function before is replaced.
        table: ``semif``, or ``field_data`` for the columns of a Field database.
        force: replace whatever file is there.
        call: options that every command takes.

    Raises:
        UsageError: there is no such folder, or a file that was not made here is in the way.
        DataError: the CSV cannot be read, or two rows have the same id.
        DatabaseError: the database cannot be written.
    """
    call = call or Call()
    folder, db_path = Path(folder), Path(db_path)
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", "Name the folder that holds the pictures.")
    if not table.strip() or table.lower().startswith(("sqlite_", "agir_build")):
        raise UsageError(f"table '{table}' cannot be made", "Name it semif or field_data.")
    check_replaceable(db_path, force=force)
    builder = _Builder(folder.resolve(), field=table == "field_data")
    if csv is None:
        rows, columns = builder.rows_of_pictures()
    else:
        columns, rows = _with_usual_names(*read_table(Path(csv)))
    with call.progress.bar("Pictures", len(rows)) as bar:
        for row in rows:
            builder.complete(row)
            bar.advance()
    builder.number_rows(rows)
    builder.refuse_twins(rows)
    columns = builder.columns(columns, rows)
    types = dict.fromkeys(columns, "")
    if not call.dry_run:
        types = write_database(db_path, table, builder.key, columns, rows, builder.folder)
    return BuildResult(
        db_path,
        table,
        len(rows),
        tuple(types.items()),
        builder.folder,
        len(builder.used),
        tuple(builder.missing),
        tuple(sorted(builder.all_pictures - builder.used)),
        call.dry_run,
    )


class _Builder:
    def __init__(self, folder: Path, *, field: bool) -> None:
        self.folder = folder
        self.path_column = "developed_image_path" if field else "image_path"
        self.key = "id" if field else "cutout_id"
        self.all_pictures = frozenset(path.relative_to(folder).as_posix() for path in _pictures(folder))
        self.by_stem: dict[str, list[str]] = {}
        for path in sorted(self.all_pictures):
            self.by_stem.setdefault(Path(path).stem, []).append(path)
        self.used: set[str] = set()
        self.missing: list[Item] = []
        self.sizes: dict[str, tuple[str, str] | str] = {}

    def rows_of_pictures(self) -> tuple[list[_Row], list[str]]:
        if not self.all_pictures:
            raise DataError(f"there are no pictures in {self.folder}", "Name another folder, or give a CSV.")
        empty: _Row = dict.fromkeys(_NO_CSV_COLUMNS)
        rows = [empty | {self.path_column: path} for path in sorted(self.all_pictures)]
        for row, image_id in zip(rows, _ids([str(row[self.path_column]) for row in rows]), strict=True):
            row["image_id"] = image_id
        return rows, list(_NO_CSV_COLUMNS)

    def complete(self, row: _Row) -> None:
        """Give a row the path of its picture, its image id and its full-resolution size."""
        found = self.picture_of(row)
        if found is None:
            named = next((value for name in _PATH_COLUMNS if (value := row.get(name))), None)
            who = row.get("cutout_id") or row.get("image_id") or row.get("id") or named or "a row"
            reason = f"its picture {named or ''} does not exist in {self.folder}".replace("  ", " ")
            self.missing.append(Item(who, "skipped", reason))
            row.setdefault("image_id", Path(named).stem if named else None)
            return
        if not row.get("image_id"):
            row["image_id"] = Path(found).stem
        previous = row.get(self.path_column)
        if previous and previous != found and not row.get("source_image_path"):
            row["source_image_path"] = previous
        row[self.path_column] = found
        self.add_mask(row)
        size = self.size_of(found)
        if isinstance(size, str):
            self.missing.append(Item(row.get("cutout_id") or str(row["image_id"]), "failed", size))
            return
        self.used.add(found)
        if not (row.get("fullres_width") and row.get("fullres_height")):
            row["fullres_width"], row["fullres_height"] = size

    def picture_of(self, row: _Row) -> str | None:
        for name in _PATH_COLUMNS:
            value = row.get(name)
            if value and (found := self.inside(value)) is not None:
                return found
        same_name = self.by_stem.get(row.get("image_id") or "", [])
        return same_name[0] if len(same_name) == 1 else None

    def inside(self, value: str) -> str | None:
        """Return an existing file's path relative to the folder; one elsewhere keeps its absolute path."""
        if "\x00" in value:
            return None
        path = self.folder / value.replace("\\", "/")
        if not path.is_file():
            return None
        resolved = path.resolve()
        inside = resolved.is_relative_to(self.folder)
        return resolved.relative_to(self.folder).as_posix() if inside else str(resolved)

    def add_mask(self, row: _Row) -> None:
        if "mask_path" in row or "final_mask_path" in row:
            return
        named = [value for name in _MASK_COLUMNS if (value := row.get(name))]
        existing = next((found for value in named if (found := self.inside(value)) is not None), None)
        if named:
            row["mask_path"] = existing

    def size_of(self, found: str) -> tuple[str, str] | str:
        if found not in self.sizes:
            try:
                info = glance(self.folder / found)
                self.sizes[found] = str(info.width), str(info.height)
            except PictureError as error:
                self.sizes[found] = error.problem
        return self.sizes[found]

    def number_rows(self, rows: Sequence[_Row]) -> None:
        """Give rows without a key one: the image id and a number, or in a Field table the number alone."""
        seen: Counter[str] = Counter()
        taken = {row.get(self.key) for row in rows}
        for number, row in enumerate(rows, start=1):
            if row.get(self.key):
                continue
            image_id = row.get("image_id") or f"row_{number}"
            key = str(number)
            while self.key == "cutout_id" and ((key := f"{image_id}_{seen[image_id]}") in taken):
                seen[image_id] += 1
            seen[image_id] += 1
            row[self.key] = key

    def refuse_twins(self, rows: Sequence[_Row]) -> None:
        twins = [key for key, times in Counter(row[self.key] for row in rows).items() if times > 1]
        if twins:
            raise DataError(
                f"{self.key} is not unique: {', '.join(map(str, twins[:5]))}"
                + (f" and {len(twins) - 5} more" if len(twins) > 5 else ""),
                "Give every row an id of its own, or leave the column out.",
            )

    def columns(self, given: Sequence[str], rows: Sequence[_Row]) -> list[str]:
        first = [self.key, "image_id", self.path_column]
        added = [name for row in rows for name in row]
        return list(dict.fromkeys([*first, *given, *added]))


def _with_usual_names(columns: list[str], rows: list[_Row]) -> tuple[list[str], list[_Row]]:
    """Spell known columns as usual; SQLite takes ``ID`` and ``id`` for the same."""
    usual = {name: name.lower() if name.lower() in _USUAL else name for name in columns}
    return [usual[name] for name in columns], [{usual[k]: value for k, value in row.items()} for row in rows]


def _pictures(folder: Path) -> Iterator[Path]:
    start = folder / "images"
    stack = [start if start.is_dir() else folder]
    while stack:
        for path in sorted(stack.pop().iterdir()):
            name = path.name.lower()
            if name.startswith("."):
                continue
            if path.is_dir() and not path.is_symlink() and not name.startswith(_NOT_PICTURES):
                stack.append(path)
            elif path.suffix.lower() in _SUFFIXES and path.is_file():
                yield path


def _ids(paths: Sequence[str]) -> list[str]:
    """Return the stem of each path; where two have the same one the path without suffix."""
    stems = Counter(Path(path).stem for path in paths)
    whole = Counter(str(Path(path).with_suffix("")) for path in paths)
    return [
        Path(path).stem
        if stems[Path(path).stem] == 1
        else str(Path(path).with_suffix(""))
        if whole[str(Path(path).with_suffix(""))] == 1
        else path
        for path in paths
    ]
