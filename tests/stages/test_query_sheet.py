from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.errors import QueryError
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.query import query


def test_a_preview_shows_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "i").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (40, 30), (20, 160, 40)).save(tmp_path / f"i/{name}.png")
    (tmp_path / "i/broken.png").write_bytes(b"\x89PNG nothing")
    columns = "cutout_id TEXT, image_id TEXT, image_path TEXT, bbox_xywh TEXT, fullres_width, fullres_height"
    rows = [
        ("a_0", "a", "i/a.png", "[10, 10, 100, 80]", 400, 300),
        ("a_1", "a", "i/a.png", "[10, 10, 9000, 80]", None, None),
        ("b_0", "b", "i/b.png", None, None, None),
        ("c_0", "c", "i/broken.png", None, None, None),
        ("d_0", "d", None, None, None, None),
    ]
    with closing(sqlite3.connect("semif.db")) as connection, connection:
        connection.execute(f"CREATE TABLE semif ({columns})")
        connection.executemany("INSERT INTO semif VALUES (?, ?, ?, ?, ?, ?)", rows)
    call = Call(overrides=("db.semif.db_path=semif.db",))
    seen = query(preview=5, projection="image_id", contact_sheet=Path("out/sheet.jpg"), call=call)
    assert [dict(row)["cutout_id"] for row in seen.preview_rows] == ["a_0", "a_1", "b_0", "c_0", "d_0"]
    assert seen.sheet == Path("out/sheet.jpg")
    assert [note.split(":")[0] for note in seen.sheet_notes] == ["c_0", "d_0"]
    with Image.open("out/sheet.jpg") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    assert (pixels[..., 1] > pixels[..., 0] + 80).sum() > 3 * 30_000
    assert not Path("outputs").exists(), "no run is started"
    with pytest.raises(QueryError, match="--preview 24"):
        query(contact_sheet=Path("x.jpg"), call=call)
