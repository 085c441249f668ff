from __future__ import annotations

from benchmarks import formats


def test_export_and_import_are_measured_against_writing_by_hand() -> None:
    rows = formats.measure(formats.options_of(["--pictures", "6", "--polygons", "2", "--formats", "coco"]))
    assert [row.name for row in rows] == [
        "export coco",
        "export coco: memory",
        "export coco against json.dump by hand",
        "import coco",
        "import coco: memory",
    ]
    assert all(row.ok for row in rows if row.name.endswith("memory"))
