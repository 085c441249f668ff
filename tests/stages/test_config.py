"""``config show`` and ``config init``."""

from __future__ import annotations

from pathlib import Path

import pytest

from agir_cvtoolkit import Call, init_config, load_settings, show_config


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CVAT_URL", "CVAT_HOST", "CVAT_USERNAME", "CVAT_PASSWORD", "CVAT_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def test_every_setting_is_shown_with_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("conf/train").mkdir(parents=True)
    Path("conf/train/default.yaml").write_text("max_epochs: 3\n")
    monkeypatch.setenv("CVAT_PASSWORD", "hunter2")
    overrides = ("train.seed=5", "io.ledger_url='postgresql://me:hunter2@db/x'")
    shown = show_config(Call(overrides=overrides))
    rows = {row.key: (row.value, row.origin) for row in shown.settings}
    assert rows["train.max_epochs"] == ("3", "conf/train/default.yaml")
    assert rows["train.seed"] == ("5", "command line")
    assert rows["cvat_upload.project_id"] == ("null", "packaged default")
    assert rows["io.ledger_url"] == ("postgresql://me:***@db/x", "command line")
    credentials = {row.key: (row.value, row.origin) for row in shown.credentials}
    assert credentials["cvat.password"] == ("***", "environment CVAT_PASSWORD")
    assert "hunter2" not in str(shown)


def test_a_written_folder_changes_nothing_until_it_is_edited() -> None:
    before = load_settings().dump()
    written = init_config()
    assert Path("conf/config.yaml") in written.written
    assert Path("conf/cvat_upload/default.yaml") in written.written
    assert load_settings().dump() == before
    again = init_config()
    assert again.written == ()
    assert set(again.kept) == set(written.written)


def test_a_file_that_was_edited_is_kept() -> None:
    Path("conf/train").mkdir(parents=True)
    Path("conf/train/default.yaml").write_text("max_epochs: 3\n")
    assert Path("conf/train/default.yaml") in init_config().kept
    assert load_settings().train.max_epochs == 3


def test_a_dry_run_writes_nothing() -> None:
    assert init_config(Path("conf"), Call(dry_run=True)).written
    assert not Path("conf").exists()


def test_a_written_conf_leaves_the_organization_unset(tmp_path: Path) -> None:
    init_config(tmp_path / "conf")
    settings = load_settings(config=str(tmp_path / "conf"))
    assert not settings.is_explicit("cvat_upload.organization_slug")
    assert not settings.is_explicit("cvat_download.organization_slug")
    assert settings.is_explicit("cvat_upload.image_quality")
