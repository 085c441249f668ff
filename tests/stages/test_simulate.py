from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agir_cvtoolkit import Call, simulate
from agir_cvtoolkit.config._simulate import Simulate
from agir_cvtoolkit.errors import ConfigError, DataError, UsageError
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.progress import Silent
from agir_cvtoolkit.stages._simulate_arena import FIRST, Cell
from agir_cvtoolkit.stages._simulate_cells import Book, Schedule
from agir_cvtoolkit.stages._simulate_data import HeldOut, labelled_data
from agir_cvtoolkit.stages._simulate_look import Variations
from agir_cvtoolkit.stages._simulate_outcome import labels_for, outcome_of, paired_gain, words_of
from agir_cvtoolkit.stages._simulate_units import pool_and_test
from agir_cvtoolkit.stages.simulate import SimulateResult
from agir_cvtoolkit.training.frozen_features import FrozenFeatures

SIDE = 128
TILE = 64


def draw_field(folder: Path, count: int = 6) -> Path:
    """Draw soil with a round leaf and a rare, square one, and their labels."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for number in range(count):
        rgb = rng.normal((120, 90, 70), 12, (SIDE, SIDE, 3))
        mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
        y, x = rng.integers(20, SIDE - 20, 2)
        leaf = (rows - y) ** 2 + (columns - x) ** 2 < 15**2
        rgb[leaf], mask[leaf] = (60, 150, 50), 2
        if number % 2:
            y, x = rng.integers(10, SIDE - 40, 2)
            rgb[y : y + 25, x : x + 25], mask[y : y + 25, x : x + 25] = (150, 60, 150), 1
        for name in ("images", "labels"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        save_png(rgb.clip(0, 255).astype(np.uint8), folder / "images" / f"p{number}.png")
        save_png(mask, folder / "labels" / f"p{number}.png")
    return folder


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_field(tmp_path_factory.mktemp("field"))


def call(root: Path, *more: str) -> Call:
    return Call(
        (f"io.out_root={root / 'runs'}", f"simulate.tile={TILE}", "select.strategy=class-doubt", *more)
    )


def run(field: Path, root: Path, seeds: int = 2, jobs: int = 1, **more: object) -> SimulateResult:
    return simulate(field, budgets=[2, 4, 8], seeds=seeds, jobs=jobs, call=call(root), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def done(field: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SimulateResult]:
    root = tmp_path_factory.mktemp("done")
    return root, run(field, root)


def cells(result: SimulateResult) -> list[dict[str, object]]:
    lines = (result.folder / "cells.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    for cell in found:
        cell.pop("seconds")
    return sorted(found, key=lambda c: (c["strategy"], c["seed"], c["budget"]))


def chosen_from(result: SimulateResult, seed: int) -> set[str]:
    """Return the pictures that a seed has chosen from."""
    own = [cell for cell in cells(result) if cell["seed"] == seed]
    return {unit.split("@")[0] for c in own for ids in c["chosen"].values() for unit in ids}  # type: ignore[attr-defined]


def test_the_learner_learns_and_all_that_was_promised_is_there(done: tuple[Path, SimulateResult]) -> None:
    _, result = done
    assert (result.pool, result.tested, result.cells) == (16, 2, 2 * (1 + 3 * 2))
    random = result.curves[0]
    assert random.strategy == "random"
    assert random.points[-1].score.mean > random.points[0].score.mean
    assert random.points[-1].score.mean > 0.5
    assert {path.name for path in result.folder.iterdir()} >= {
        "cells.jsonl",
        "curves.csv",
        "curves.png",
        "simulation.json",
    }
    table = (result.folder / "curves.csv").read_text().splitlines()
    assert len(table) == 1 + 3 * 3
    assert any("against random" in line for line in result.words)


def test_strategies_begin_alike_and_never_see_the_test_pictures(done: tuple[Path, SimulateResult]) -> None:
    _, result = done
    begun = [c for c in cells(result) if c["strategy"] == FIRST]
    assert len(begun) == 2
    assert all(set(c["chosen"]) == {"random", "entropy", "default"} for c in begun)  # type: ignore[call-overload]
    tested = HeldOut(tuple(f"p{number}" for number in range(6)), 2)
    for seed in range(2):
        assert len(tested.by(seed)) == 2
        assert not chosen_from(result, seed) & tested.by(seed)
    assert len({tested.by(seed) for seed in range(9)}) > 3
    assert {curve.points[0].score.mean for curve in result.curves} == {result.curves[0].points[0].score.mean}


def test_listed_pictures_are_tested_by_every_seed(field: Path, tmp_path: Path) -> None:
    names = tmp_path / "test.txt"
    names.write_text("p1\np4\n")
    result = run(field, tmp_path, strategies=["random"], test=names)
    assert (result.pool, result.tested, result.drawn) == (16, 2, False)
    assert chosen_from(result, 0) | chosen_from(result, 1) <= {"p0", "p2", "p3", "p5"}


def test_tiles_vary_as_in_training_and_each_variation_is_looked_at_once(field: Path, tmp_path: Path) -> None:
    """Pixels and labels vary together, the same way whoever asks, also those of a near-duplicate."""
    data = labelled_data(field, None, Call().settings())
    wanted = Simulate(budgets=(2, 4), tile=TILE, duplicates=0.5)
    store = tmp_path / "maps"
    units = pool_and_test(data, HeldOut(tuple(t.group for t in data.truths), 1), wanted, store, Silent())
    shown = [Variations(units.pool, units.opening, units.encoder, store) for _ in range(2)]
    for place in (0, len(units.pool) - 1):
        unit = units.pool[place]
        first = shown[0](place, 2)
        size = (store / "maps.f16").stat().st_size
        again = shown[1](place, 2)
        assert (store / "maps.f16").stat().st_size == size
        assert [key for key, _ in first] == [key for key, _ in again]
        assert len({unit.key, *(key for key, _ in first)}) == 3
        for (key, cells), (_, same) in zip(first, again, strict=True):
            assert unit.cells is not None
            assert cells.shape == unit.cells.shape
            np.testing.assert_array_equal(cells, same)
            assert FrozenFeatures(store).maps(key)[0].shape == FrozenFeatures(store).maps(unit.key)[0].shape


def test_the_same_call_does_nothing(
    done: tuple[Path, SimulateResult], field: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, result = done
    before = {path: path.stat().st_mtime_ns for path in result.folder.iterdir() if path.name != "lock"}
    monkeypatch.setattr("agir_cvtoolkit.stages._simulate_arena.Arena.run", None)
    again = run(field, root)
    assert again.curves == result.curves
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_killed_simulation_goes_on_to_the_same_cells(
    done: tuple[Path, SimulateResult], field: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agir_cvtoolkit.stages._simulate_arena import Arena, Step

    left = [4]
    real = Arena.run

    def dies(self: Arena, step: Step) -> Cell:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(self, step)

    with monkeypatch.context() as patched:
        patched.setattr(Arena, "run", dies)
        with pytest.raises(KeyboardInterrupt):
            run(field, tmp_path)
    folder = next((tmp_path / "simulations").glob("field*"))
    with (folder / "cells.jsonl").open("ab") as stream:
        stream.write(b'{"strategy": "rand')  # cut off
    result = run(field, tmp_path)
    assert result.done == 4
    whole = [line for line in (folder / "cells.jsonl").read_text().splitlines() if line.endswith("}")]
    (folder / "cells.jsonl").write_text("\n".join(whole) + "\n")
    assert cells(result) == cells(done[1])


def test_more_seeds_and_other_processes_continue_bit_by_bit(
    done: tuple[Path, SimulateResult], field: Path, tmp_path: Path
) -> None:
    first = run(field, tmp_path, seeds=1)
    both = run(field, tmp_path, seeds=2, jobs=2)
    assert (both.folder, both.done) == (first.folder, first.cells)
    assert cells(both) == cells(done[1])


_UNGUARDED = """
import sys
from pathlib import Path
from agir_cvtoolkit import Call, simulate
simulate(Path(sys.argv[1]), strategies=["random"], budgets=[2, 4], seeds=2, jobs=2,
         call=Call((f"io.out_root={sys.argv[2]}/runs", "simulate.tile=64")))
"""


@pytest.mark.integration
def test_a_script_without_a_guard_is_told_so_and_does_not_hang(field: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_UNGUARDED)
    done = subprocess.run(
        [sys.executable, str(script), str(field), str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert "__main__" in done.stderr.splitlines()[-1]


def test_processes_end_with_the_one_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(
        "import multiprocessing, os, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from agir_cvtoolkit.stages._simulate_cells import end_with_parent\n"
        "if __name__ == '__main__':\n"
        "    crew = ProcessPoolExecutor(1, multiprocessing.get_context('spawn'), end_with_parent)\n"
        "    print(crew.submit(os.getpid).result(), flush=True)\n"
        "    time.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip().isdigit()
    process.kill()
    # The worker holds the other end of the pipes, too: they close when all are gone.
    process.communicate(timeout=300)


def test_a_dry_run_estimates_and_leaves_nothing(field: Path, tmp_path: Path) -> None:
    result = simulate(field, budgets=[2, 4], duplicates=0.8, call=replace(call(tmp_path), dry_run=True))
    assert result.dry_run
    assert (result.pool, result.cells) == (80, 5 * (1 + 3))
    assert result.seconds > 0
    assert not (tmp_path / "simulations").exists()


def test_near_duplicates_fill_the_pool(field: Path, tmp_path: Path) -> None:
    names = tmp_path / "test.txt"
    names.write_text("p1\np4\n")
    result = simulate(
        field,
        strategies=["random", "default"],
        budgets=[2, 4],
        seeds=1,
        test=names,
        duplicates=0.5,
        jobs=1,
        call=call(tmp_path),
    )
    assert result.pool == 32
    drawn = [unit for c in cells(result) for ids in c["chosen"].values() for unit in ids]  # type: ignore[attr-defined]
    assert drawn


def test_what_cannot_be_simulated_is_refused(field: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fewer than the largest budget"):
        simulate(field, budgets=[2, 400], call=call(tmp_path))
    with pytest.raises(ConfigError, match="no strategy 'clever'"):
        simulate(field, strategies=["clever"], budgets=[2, 4], call=call(tmp_path))
    with pytest.raises(ConfigError, match="rising"):
        simulate(field, budgets=[4, 2], call=call(tmp_path))
    with pytest.raises(DataError, match="no labelled pictures"):
        simulate(field / "images", call=call(tmp_path))
    names = tmp_path / "test.txt"
    names.write_text("p1\nq1\n")
    with pytest.raises(DataError, match="no picture 'q1'"):
        simulate(field, test=names, call=call(tmp_path))
    run_one = simulate(
        field, strategies=["random"], budgets=[2, 4], seeds=1, jobs=1, out=tmp_path / "o", call=call(tmp_path)
    )
    assert run_one.words[-1] != ""
    with pytest.raises(UsageError, match="another simulation"):
        simulate(
            field, strategies=["random"], budgets=[2, 5], seeds=1, out=tmp_path / "o", call=call(tmp_path)
        )


def cell(strategy: str, seed: int, budget: int, score: float) -> Cell:
    return Cell(strategy, seed, budget, budget, score)


def table(*rows: tuple[str, int, int, float]) -> dict[tuple[str, int, int], Cell]:
    return {(name, seed, budget): cell(name, seed, budget, score) for name, seed, budget, score in rows}


COMPARED = table(
    (FIRST, 0, 8, 0.5), (FIRST, 1, 8, 0.6), (FIRST, 2, 8, 0.4),
    ("random", 0, 16, 0.6), ("random", 1, 16, 0.7), ("random", 2, 16, 0.5),
    ("a", 0, 16, 0.7), ("a", 1, 16, 0.79), ("a", 2, 16, 0.61),
    ("b", 0, 16, 0.5), ("b", 1, 16, 0.61), ("b", 2, 16, 0.39),
)  # fmt: skip


def test_differences_are_paired_by_seed() -> None:
    random, a, b = outcome_of(COMPARED, ("random", "a", "b"), (8, 16), 0.9)
    assert random.points[1].difference is None
    found = a.points[1].difference
    assert found is not None
    # differences .10, .09, .11: mean .1, s .01, n 3: ± 2.919986 * .01 / sqrt(3)
    assert found.mean == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1 - 0.0168585, abs=1e-6)
    assert (a.verdict, b.verdict) == ("better", "worse")
    words = words_of((random, a, b), "mean IoU", 0.9)
    assert words[-2:] == (
        "Better than random choice beyond the interval: a.",
        "Worse than random choice beyond the interval, at some budget: b.",
    )
    gain = paired_gain(COMPARED, "a", 16, "random", 8, (8, 16), 0.9)
    assert gain is not None
    assert gain.mean == pytest.approx(0.2)


def test_no_gain_is_said_to_be_none() -> None:
    same = COMPARED | table(("a", 0, 16, 0.61), ("a", 1, 16, 0.69), ("a", 2, 16, 0.5))
    curves = outcome_of(same, ("random", "a"), (8, 16), 0.9)
    assert (
        words_of(curves, "mean IoU", 0.9)[-1]
        == "No strategy was better than random choice beyond its interval."
    )


def test_labels_that_random_quality_needs() -> None:
    assert labels_for(0.6, (8, 16, 32), (0.5, 0.6, 0.7)) == pytest.approx(16)
    assert labels_for(0.65, (8, 16, 32), (0.5, 0.6, 0.7)) == pytest.approx(16 * 2**0.5)
    assert labels_for(0.4, (8, 16), (0.5, 0.6)) == 8
    assert labels_for(0.9, (8, 16), (0.5, 0.6)) is None
    _, a = outcome_of(COMPARED, ("random", "a"), (8, 16), 0.9)
    assert a.savings[0].factor == pytest.approx(2**0.5)


def test_first_seeds_come_first_and_nothing_is_planned_twice(tmp_path: Path) -> None:
    schedule = Schedule({0: ("a",), 1: ("b",)}, ("random",), (1, 2))
    assert schedule.total == 4
    book = Book(tmp_path / "cells.jsonl")
    assert [(s.strategy, s.seed, s.wanted) for s in schedule.ready(book.cells)] == [
        (FIRST, 0, 1),
        (FIRST, 1, 1),
    ]
    book.add(Cell(FIRST, 0, 1, 1, 0.5, chosen={"random": ("c",)}))
    ready = schedule.ready(Book(tmp_path / "cells.jsonl").cells)
    assert [(s.strategy, s.seed, s.labelled) for s in ready] == [
        ("random", 0, ("a", "c")),
        (FIRST, 1, ("b",)),
    ]


def test_impossible_budgets_are_said_in_plain_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^simulate: budgets are two or more rising numbers"):
        simulate(draw_field(tmp_path / "field"), budgets=(8, 4))
    with pytest.raises(ConfigError, match=r"^simulate\.budgets\.0=0: input should be greater"):
        simulate(draw_field(tmp_path / "field"), budgets=(0, 4))
