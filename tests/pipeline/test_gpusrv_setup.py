"""gpusrv_setup.sh on a machine whose docker, sudo, git and python3 are stubs."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from .folder import SOURCE, Machine, machine

SCRIPT = SOURCE / "gpusrv_setup.sh"


@pytest.fixture
def fresh(tmp_path: Path) -> Machine:
    return machine(tmp_path)


def state(root: Path) -> dict[str, str]:
    """Return what lies below a folder, but for the calls that were written down."""
    return {
        str(path.relative_to(root)): f"{stat.S_IMODE(path.stat().st_mode):o} "
        + (path.read_bytes().hex() if path.is_file() else "")
        for path in sorted(root.rglob("*"))
        if path.name != "calls.log"
    }


def test_shellcheck_has_nothing_to_say() -> None:
    beside = Path(sys.executable).with_name("shellcheck")
    found = str(beside) if beside.exists() else shutil.which("shellcheck")
    assert found, "shellcheck is in the extra [dev]"
    result = subprocess.run([found, str(SCRIPT)], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_it_is_a_script_for_bash() -> None:
    assert subprocess.run(["bash", "-n", str(SCRIPT)], check=False).returncode == 0


def test_it_makes_everything(fresh: Machine) -> None:
    result = fresh.setup()
    assert result.returncode == 0, result.stdout + result.stderr
    for name in ("cvat-annotations", "cvat-exports"):
        assert (fresh.root / "data" / name).is_dir()
    assert stat.S_IMODE((fresh.root / "home" / ".firebase").stat().st_mode) == 0o700
    calls = fresh.calls
    assert any(call.startswith("venv-python -m pip install") and "requirements.txt" in call for call in calls)
    (clone,) = [call for call in calls if call.startswith("git clone")]
    assert "--branch v2.42.0 https://github.com/cvat-ai/cvat" in clone
    up = [call for call in calls if "up --detach" in call]
    assert len(up) == 1
    assert "home/cvat/docker-compose.yml" in up[0]
    started = f"cvat/server:v2.42.0 host gpusrv.tailfdc654.ts.net share {fresh.root}/data/cvat-annotations"
    assert started in calls
    assert "service-account.json" in result.stdout
    assert "createsuperuser" in result.stdout


def test_it_needs_no_sudo_where_none_is_needed(fresh: Machine) -> None:
    fresh.setup()
    assert not [call for call in fresh.calls if call.startswith("sudo")]


def test_folders_that_only_root_may_make_are_made_with_sudo_and_given_to_the_user(fresh: Machine) -> None:
    fresh.stub("id", '[ "$1" = -u ] && echo 1000 || echo 1000\n')
    fresh.stub("chown", "true\n")
    fresh.stub(
        "mkdir", 'case "$*" in */data/*) [ -n "${{AS_ROOT:-}}" ] || exit 1 ;; esac; exec /bin/mkdir "$@"\n'
    )
    assert fresh.setup("--no-cvat").returncode == 0
    folder = fresh.root / "data" / "cvat-exports"
    assert f"sudo mkdir -p {folder}" in fresh.calls
    assert f"sudo chown 1000:1000 {folder}" in fresh.calls
    fresh.forget()
    assert fresh.setup("--no-cvat").returncode == 0
    assert not [call for call in fresh.calls if call.startswith("sudo")]


def test_a_second_time_changes_nothing(fresh: Machine) -> None:
    assert fresh.setup().returncode == 0
    before = state(fresh.root)
    fresh.forget()
    again = fresh.setup()
    assert again.returncode == 0
    assert state(fresh.root) == before
    assert "made" not in again.stdout
    assert not [
        call for call in fresh.calls if "pip install" in call or "clone" in call or "up --detach" in call
    ]


def test_a_check_changes_nothing_and_names_what_is_missing(fresh: Machine) -> None:
    before = state(fresh.root)
    result = fresh.setup("--check")
    assert result.returncode == 1
    assert state(fresh.root) == before
    for subject in ("cvat-annotations", ".firebase", "Python packages", "compose file"):
        assert any(subject in line for line in result.stdout.splitlines() if line.startswith("missing")), (
            subject
        )
    assert not [call for call in fresh.calls if call.startswith(("sudo", "venv-python", "git clone"))]
    assert fresh.setup().returncode == 0
    after = fresh.setup("--check")
    assert (after.returncode, "missing" in after.stdout) == (0, False)


def test_another_wheel_is_installed_over_the_old_one(fresh: Machine) -> None:
    fresh.setup("--no-cvat")
    (fresh.folder / "agir_cvtoolkit-0.1.0-py3-none-any.whl").write_bytes(b"another")
    fresh.forget()
    assert fresh.setup("--no-cvat", "--check").returncode == 1
    assert fresh.setup("--no-cvat").returncode == 0
    assert [call for call in fresh.calls if call.startswith("venv-python -m pip install")]


def test_the_machine_that_trains_gets_more(fresh: Machine) -> None:
    fresh.setup("--no-cvat")
    fresh.forget()
    assert fresh.setup("--no-cvat", "--training").returncode == 0
    (call,) = [call for call in fresh.calls if call.startswith("venv-python -m pip install")]
    assert call.endswith("--requirement requirements-training.txt")


def test_without_the_wheel_it_says_how_to_get_it(tmp_path: Path) -> None:
    result = machine(tmp_path, wheel=False).setup("--no-cvat")
    assert result.returncode == 1
    assert "make bundle" in result.stdout


def test_a_key_that_others_could_read_is_closed(fresh: Machine) -> None:
    key = fresh.root / "home" / ".firebase" / "service-account.json"
    key.parent.mkdir(mode=0o755)
    key.write_text("{}")
    key.chmod(0o644)
    assert "missing" in fresh.setup("--check", "--no-cvat").stdout
    assert stat.S_IMODE(key.stat().st_mode) == 0o644
    assert fresh.setup("--no-cvat").returncode == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700


def test_old_pythons_are_refused_in_words(fresh: Machine) -> None:
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        fresh.stub(name, "exit 1\n")
    result = fresh.setup("--no-cvat")
    assert result.returncode == 1
    assert "missing  Python 3.11 or newer" in result.stdout


def test_a_container_started_by_hand_is_not_removed_but_named(fresh: Machine) -> None:
    (fresh.root / "lone").touch()
    result = fresh.setup()
    assert result.returncode == 1
    assert "docker rm --force cvat_server" in result.stdout
    assert not [call for call in fresh.calls if "up --detach" in call or " rm " in call]


def test_another_version_of_cvat_is_left_alone(fresh: Machine) -> None:
    (fresh.root / "home" / "cvat").mkdir()
    (fresh.root / "home" / "cvat" / "docker-compose.yml").write_text("services:\n")
    result = fresh.setup(CLONED="v2.40.0")
    assert result.returncode == 1
    assert "upgrade guide" in result.stdout
    assert not [call for call in fresh.calls if "clone" in call or "up --detach" in call]


def test_without_docker_the_rest_is_made(fresh: Machine) -> None:
    (fresh.root / "docker-refuses").touch()
    fresh.stub("sudo", "exit 1\n")
    result = fresh.setup()
    assert result.returncode == 1
    assert "docs.docker.com" in result.stdout
    assert (fresh.root / "data" / "cvat-exports").is_dir()
    assert [call for call in fresh.calls if call.startswith("venv-python -m pip install")]


def test_docker_that_answers_to_root_alone_is_called_so(fresh: Machine) -> None:
    fresh.stub("id", '[ "$1" = -u ] && echo 1000 || echo someone\n')
    (fresh.root / "docker-refuses").touch()
    result = fresh.setup()
    assert result.returncode == 0, result.stdout + result.stderr
    assert [call for call in fresh.calls if call.startswith("sudo env CVAT_VERSION=v2.42.0")]
    assert [call for call in fresh.calls if call.startswith("cvat/server:v2.42.0 host gpusrv")]


@pytest.mark.parametrize("options", [["--nonsense"], ["--data-dir"]])
def test_wrong_usage(fresh: Machine, options: list[str]) -> None:
    result = subprocess.run(
        ["bash", "gpusrv_setup.sh", *options],
        check=False,
        cwd=fresh.folder,
        env=fresh.environment(),
        capture_output=True,
    )
    assert result.returncode == 2
