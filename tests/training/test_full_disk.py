"""A disk that fills up in mid-training."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from agir_cvtoolkit.errors import DataError  # noqa: E402
from agir_cvtoolkit.training import keeping  # noqa: E402
from agir_cvtoolkit.training.segmentation import fit  # noqa: E402

from .test_flags import with_flag  # noqa: E402
from .test_segmentation import make_dataset  # noqa: E402

WRITERS: dict[str, tuple[Any, str]] = {
    "best.pth": (keeping, "save_checkpoint"),
    "history.csv": (keeping, "write_history"),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("disk"), 1)


@pytest.fixture(scope="module")
def whole(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return fit(dataset, tmp_path_factory.mktemp("whole"), with_flag("max_epochs", 2)).card.version


@pytest.mark.parametrize("file", WRITERS)
def test_it_is_said_in_words_and_the_training_goes_on_when_there_is_room(
    file: str, whole: str, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = with_flag("max_epochs", 2)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    write, name = WRITERS[file]
    real: Any = getattr(write, name)
    calls: list[int] = []

    def cramped(*given: Any, **named: Any) -> Any:
        """From the second epoch on no file can grow beyond a few bytes, as if the disk were full."""
        calls.append(1)
        if len(calls) < 2:
            return real(*given, **named)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, limits[1]))
        try:
            return real(*given, **named)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with monkeypatch.context() as patch:
        patch.setattr(write, name, cramped)
        with pytest.raises(DataError, match=r"disk is full .* in mid-training.*Make room") as told:
            fit(dataset, tmp_path / "full", settings)
    assert "continues from where it last saved" in str(told.value)
    again = fit(dataset, tmp_path / "full", settings)
    assert again.state == "continued"
    assert again.card.version == whole
    assert not list((tmp_path / "full").rglob("*.tmp"))


def test_what_a_frozen_encoder_saw_is_written_and_never_mapped(dataset: Path, tmp_path: Path) -> None:
    """A mapped file has its full length from the start, and kills the process when the disk has no room for it."""
    from agir_cvtoolkit.config._training import Train
    from agir_cvtoolkit.progress import Silent
    from agir_cvtoolkit.training.batches import tiles_of
    from agir_cvtoolkit.training.dataset import open_dataset
    from agir_cvtoolkit.training.remembered import remember

    class Failing(torch.nn.Conv2d):  # type: ignore[name-defined,misc]
        shown = 0

        def forward(self, pixels: Any) -> list[Any]:
            self.shown += 1
            if self.shown == 2:
                raise OSError(28, "No space left on device")
            return [super().forward(pixels)]

    tiles = tiles_of(open_dataset(dataset), "train", Train(), training=True)
    with pytest.raises(OSError, match="No space"), Silent().bar("", 1) as bar:
        remember(Failing(3, 4, 1), lambda pixels: pixels.float(), tiles, 9, tmp_path / "maps", "key", bar)
    assert (tmp_path / "maps" / "000.npy").stat().st_size < 5 * 3 * 64 * 64
    assert not (tmp_path / "maps" / "done.json").exists()
