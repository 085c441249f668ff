"""Every command line of the second seed as printed, and each option, field, default and status it names.

Only paths, hosts and ellipses are replaced. Google is Google's own Firestore emulator and a storage server, CVAT is the
sandbox, the machine's docker and git are stubs.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.captures import CAPTURE_STATUSES, Capture, PublishedModel
from agir_cvtoolkit.config import Firebase, load_settings
from agir_cvtoolkit.firebase.firestore import FirestoreStore
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.poses import Keypoint, Pose, priority_of
from agir_cvtoolkit.sandbox import Sandbox
from agir_cvtoolkit.sandbox.pose_oracle import correct_poses
from tests.firebase.emulators import raw
from tests.sandbox.plain import Plain, picture

from . import second_seed_lines as seed
from .gpu_server import PROJECT, GpuServer, gpu_server
from .second_seed_lines import commands

pytestmark = pytest.mark.integration
SCHEMA = load_schema("dog24")
CREDENTIALS = ("admin", "admin123")
MORNING = datetime(2025, 9, 11, 6, tzinfo=UTC)
SIZE = (96, 64)


# --- the machine -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def _prepared(
    tmp_path_factory: pytest.TempPathFactory, firestore_emulator: str, storage_emulator: str
) -> Iterator[GpuServer]:
    with gpu_server(tmp_path_factory.mktemp("gpusrv"), firestore_emulator, storage_emulator) as server:
        _copy, _log_in, folder, setup, install = commands(seed.SETUP)
        assert folder == "cd ~/firebase_cvat_pipeline"
        for line in (setup, install):
            result = server.line(f"{folder} && {line}")
            assert result.returncode == 0, result.stdout + result.stderr
        yield server


@pytest.fixture
def store(_prepared: GpuServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FirestoreStore]:
    for name in ("FIRESTORE_EMULATOR_HOST", "STORAGE_EMULATOR_HOST"):
        monkeypatch.setenv(name, _prepared.variables[name])
    opened = FirestoreStore.open(_prepared.settings(), patience_s=180)
    for collection in ("uncertain_poses", "labeled_data", "retraining_triggers", "models"):
        for document in raw(opened, collection).stream():
            document.reference.delete()
    yield opened
    opened.close()


@pytest.fixture
def server(_prepared: GpuServer, store: FirestoreStore, sandbox: Sandbox) -> GpuServer:
    """The machine, set up, with nothing in its folders, in Firebase and in CVAT."""
    del store
    _prepared.fresh(sandbox.url)
    return _prepared


# --- devices and annotators --------------------------------------------------------------------------------------


def dog(number: int) -> Pose:
    """Where the joints truly are."""
    places = {name: Keypoint(4.0 + 3 * i, 6.0 + 2 * i) for i, name in enumerate(SCHEMA.joints)}
    return Pose({name: Keypoint(p.x, p.y + number % 3) for name, p in places.items()})


def seen(number: int) -> Pose:
    """What a device saw: some joints off, some unsure, some missing."""
    points = {}
    for i, (name, point) in enumerate(dog(number).keypoints.items()):
        if i % 7 != 6:
            points[name] = Keypoint(
                point.x + (5.0 if i % 4 == 0 else 0.0), point.y, confidence=0.1 if i % 5 == 4 else 0.5
            )
    return Pose(points)


def jpeg(number: int) -> bytes:
    return picture(number, SIZE, "JPEG")


def send(store: FirestoreStore, priorities: list[int]) -> list[str]:
    """Put in captures of the given priorities, each a minute younger than the one before; return their ids."""
    ids = []
    for number, priority in enumerate(priorities):
        ids.append(f"pose-{number:03d}-of-{priority}")
        capture = Capture(
            ids[-1],
            confidence=round(0.6 - 0.05 * priority, 3),
            priority=priority,
            taken=MORNING + timedelta(minutes=number),
            device_id="device-1",
            poses=(seen(number),),
        )
        assert store.create(capture, jpeg(number))
    return ids


def statuses(store: FirestoreStore, ids: list[str]) -> dict[str, str]:
    return {key: capture.status for key, capture in store.get(ids).items()}


def manifest(server: GpuServer) -> dict[str, Any]:
    path = server.data / "cvat-annotations" / "transfer_manifest.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def signed_in(sandbox: Sandbox) -> Plain:
    plain = Plain(sandbox.url)
    plain.log_in()
    return plain


def annotate_and_export(server: GpuServer, sandbox: Sandbox, name: str) -> list[str]:
    """Do what people do: correct every task, complete its jobs, export it; return the names of its pictures."""
    plain = signed_in(sandbox)
    (task,) = plain("GET", "/api/tasks").json["results"]
    numbers = [int(re.findall(r"pose-(\d+)-", stem)[0]) for stem in plain.names(task["id"])]
    truth = dict(zip(plain.names(task["id"]), numbers, strict=True))
    report = correct_poses(sandbox.url, CREDENTIALS, task["id"], lambda frame: [dog(truth[frame])], SCHEMA)
    assert report.frames == len(numbers)
    export = f"/api/tasks/{task['id']}/dataset/export?format=CVAT%20for%20images%201.1&save_images=False"
    ended = plain.wait(plain("POST", export).json["rq_id"])
    got = plain("GET", ended["result_url"].removeprefix(plain.url))
    with zipfile.ZipFile(BytesIO(got.data)) as archive:
        (server.data / "cvat-exports" / name).write_bytes(archive.read("annotations.xml"))
    plain.close()
    return list(truth)


def here(server: GpuServer) -> dict[str, str]:
    """The paths of this machine for those that are printed."""
    return {"/data/": f"{server.data}/"}


def check(result: Any, code: int = 0) -> Any:
    assert result.returncode == code, f"{result.returncode}\n{result.stdout}\n{result.stderr}"
    return result


# --- quick start -------------------------------------------------------------------------------------------------


def test_setup_makes_what_the_seed_promises(server: GpuServer) -> None:
    assert (server.data / "cvat-annotations").is_dir()
    assert (server.data / "cvat-exports").is_dir()
    assert (server.folder / ".venv" / "bin" / "python").exists()
    # A second time, as users do after an update.
    again = check(server.line(commands(seed.SETUP)[3]))
    assert "made" not in again.stdout


def test_a_python_without_the_package_hands_over_to_that_of_the_setup(server: GpuServer) -> None:
    """As where the line with pip3 was left out, or the system forbids it."""
    bare = f"PYTHONPATH={server.root / 'libraries'} {sys.executable} -S firebase_to_cvat_transfer.py --help"
    assert "--service-account" in check(server.line(bare)).stdout


def test_transfer(server: GpuServer, store: FirestoreStore, sandbox: Sandbox) -> None:
    ids = send(store, [n % 10 + 1 for n in range(70)])
    (line,) = commands(seed.TRANSFER, here(server))
    check(server.line(line))
    urgent = sorted(
        (i for i in ids if int(i.rsplit("-", 1)[1]) >= 7), key=lambda i: (-int(i.rsplit("-", 1)[1]), i)
    )
    expected = urgent[:25]
    assert len(urgent) == 28
    found = statuses(store, ids)
    assert {key for key, status in found.items() if status == "in_progress"} == set(expected)
    assert {status for key, status in found.items() if key not in expected} == {"pending"}

    content = manifest(server)
    assert {"transfer_timestamp", "total_images", "images"} <= set(content)
    assert content["total_images"] == 25
    assert {image["firebase_id"] for image in content["images"]} == set(expected)
    fields = {"filename", "firebase_id", "confidence", "priority", "joint_group", "timestamp", "device_id"}
    fields |= {"detected_poses", "local_path"}
    for image in content["images"]:
        assert fields <= set(image)
        assert Path(image["local_path"]).read_bytes()
        assert image["filename"] == f"{image['firebase_id']}.jpg"
        assert (image["joint_group"], image["device_id"]) == ("all", "device-1")

    document = raw(store, "uncertain_poses").document(expected[0]).get().to_dict()
    assert document["annotation_platform"] == "CVAT"
    assert document["gpusrv_transfer"] is True
    assert document["annotation_started"] is not None

    plain = signed_in(sandbox)
    (project,) = plain("GET", "/api/projects").json["results"]
    assert project["name"] == seed.PROJECT
    assert set(plain.labels(project["id"])) == set(SCHEMA.joints)
    (task,) = plain("GET", "/api/tasks").json["results"]
    assert task["size"] == 25
    assert re.fullmatch(r"pose_estimation_\d{8}_\d{4}\b.*", task["name"])
    assert [name.split(".")[0] for name in plain.names(task["id"])] == expected  # worst first
    proposals = plain("GET", f"/api/tasks/{task['id']}/annotations").json["shapes"]
    assert {shape["frame"] for shape in proposals} == set(range(25))
    plain.close()


def test_return(server: GpuServer, store: FirestoreStore, sandbox: Sandbox) -> None:
    ids = send(store, [10] * 25)
    check(server.line(commands(seed.TRANSFER, here(server))[0]))
    annotate_and_export(server, sandbox, "annotations.xml")
    (line,) = commands(seed.RETURN, here(server))
    check(server.line(line))
    assert set(statuses(store, ids).values()) == {"completed"}

    printed = json.loads(seed.LABELED.replace("}, ...}", "}}"))
    documents = {d.id: d.to_dict() for d in raw(store, "labeled_data").stream()}
    assert len(documents) == 25
    for key, document in documents.items():
        assert set(printed) <= set(document)
        assert re.fullmatch(r"cvat_pose-\d+-of-10_\d{8}T\d{6}Z", key)
        assert (document["id"], document["source"]) == (key, printed["source"])
        assert document["originalDataId"] in ids
        assert 0 <= document["qualityScore"] <= 1
        number = int(document["originalDataId"].split("-")[1])
        truth = dog(number)
        assert set(document["correctedKeypoints"]) == set(SCHEMA.joints)
        for joint, place in document["correctedKeypoints"].items():
            assert (place["x"], place["y"]) == pytest.approx((truth.at(joint).x, truth.at(joint).y), abs=4.0)

    printed = json.loads(seed.TRIGGER)
    (trigger,) = [d.to_dict() for d in raw(store, "retraining_triggers").stream()]
    assert set(printed) <= set(trigger)
    for name in ("type", "labeled_data_count", "trigger_threshold"):
        assert trigger[name] == printed[name]
    assert trigger["status"] == "pending"

    # Once more: nothing is written twice, and no second trigger is made.
    check(server.line(line))
    assert {d.id for d in raw(store, "labeled_data").stream()} == set(documents)
    assert all(d.to_dict()["revision"] == 1 for d in raw(store, "labeled_data").stream())
    assert len([*raw(store, "retraining_triggers").stream()]) == 1


# --- the worked examples -----------------------------------------------------------------------------------------


def test_the_daily_batch(server: GpuServer, store: FirestoreStore, sandbox: Sandbox) -> None:
    ids = send(store, [5] * 3 + [6] * 55)
    morning, evening = commands(seed.DAILY, here(server))
    check(server.line(morning))
    assert manifest(server)["total_images"] == 50
    found = statuses(store, ids)
    assert [key for key, status in found.items() if status == "in_progress"] == ids[3:53]  # oldest first
    annotate_and_export(server, sandbox, "daily_batch.xml")
    check(server.line(evening))
    found = statuses(store, ids)
    assert [key for key, status in found.items() if status == "completed"] == ids[3:53]
    (trigger,) = store.triggers()
    assert trigger.count == 50


def test_the_emergency_batch(server: GpuServer, store: FirestoreStore) -> None:
    ids = send(store, [7] * 3 + [8] * 6 + [10] * 6)
    (line,) = commands(seed.EMERGENCY)
    check(server.line(line))
    found = statuses(store, ids)
    taken = {key for key, status in found.items() if status == "in_progress"}
    assert taken == {*ids[9:], *ids[3:7]}


def test_debug_mode(server: GpuServer, store: FirestoreStore) -> None:
    ids = send(store, [8, 9, 9])
    (line,) = commands(seed.DEBUG)
    result = check(server.line(line))
    assert (server.folder / "debug.log").read_text(encoding="utf-8") == result.stdout
    assert "transfer_manifest.json" in result.stdout
    assert statuses(store, ids) == {ids[0]: "pending", ids[1]: "in_progress", ids[2]: "in_progress"}


# --- monitoring --------------------------------------------------------------------------------------------------


def test_the_manifest_is_shown_with_earlier_batches(server: GpuServer, store: FirestoreStore) -> None:
    (line,) = commands(seed.MANIFEST, here(server))
    (batch,) = commands(seed.EMERGENCY)
    send(store, [9, 9])
    check(server.line(batch))
    assert len(json.loads(check(server.line(line)).stdout)["images"]) == 2
    more = Capture("later", 0.0, 10, taken=MORNING, device_id="device-2", poses=(seen(1),))
    assert store.create(more, jpeg(1))
    check(server.line(batch))
    images = json.loads(check(server.line(line)).stdout)["images"]
    assert {image["firebase_id"] for image in images} == {"pose-000-of-9", "pose-001-of-9", "later"}


def test_progress_in_cvat(server: GpuServer, store: FirestoreStore, sandbox: Sandbox) -> None:
    send(store, [9])
    check(server.line(commands(seed.EMERGENCY)[0]))
    plain = signed_in(sandbox)
    # CVAT answers nobody without credentials; curl takes them from here, so that the line stays as printed.
    (server.root / "home" / ".curlrc").write_text(
        f'header = "Authorization: {plain.headers["Authorization"]}"\n'
    )
    address = {"http://gpusrv.tailfdc654.ts.net:8080": sandbox.url}
    (line,) = commands(seed.PROGRESS, address)
    shown = json.loads(check(server.line(line)).stdout)
    assert [project["name"] for project in shown["results"]] == [seed.PROJECT]
    today = json.loads(check(server.line(line.replace("/api/v1/", "/api/"))).stdout)
    assert today == shown
    plain.close()


def test_labeled_data_is_counted_by_status(server: GpuServer, store: FirestoreStore) -> None:
    """What the seed's comments ask for: statuses of uncertain_poses, size of labeled_data."""
    send(store, [9, 9, 3])
    check(server.line(commands(seed.EMERGENCY)[0]))
    key = "-o firebase.service_account=~/.firebase/service-account.json"
    script = f"python3 -m agir_cvtoolkit firebase status --json {key}"
    shown = json.loads(check(server.line(script)).stdout)
    text = json.dumps(shown)
    assert '"in_progress": 2' in text
    assert '"pending": 1' in text


# --- options, fields, defaults, statuses -------------------------------------------------------------------------


def test_each_option_has_the_printed_default(server: GpuServer) -> None:
    text = check(server.line("python3 firebase_to_cvat_transfer.py --help")).stdout.partition("Options:")[2]
    printed = re.findall(r"`(--[a-z-]+)`: .*\(default: (\S+)\)", seed.OPTIONS)
    assert len(printed) == 4
    for option, default in printed:
        entry = text[text.index(f"  {option} ") :].split("\n  --", 1)[0]
        assert f"[default: {default}" in " ".join(entry.split())


def test_defaults_of_the_configuration() -> None:
    settings = load_settings().firebase
    assert settings.output_dir == "/data/cvat-annotations"
    assert settings.gpusrv_host == "gpusrv.tailfdc654.ts.net"
    assert settings.image_path == "training_images/{pose_id}.jpg"
    assert settings.cvat_project == seed.PROJECT
    assert settings.collections.model_dump() | {"models": ""} == {
        "uncertain_poses": "uncertain_poses",
        "labeled_data": "labeled_data",
        "retraining_triggers": "retraining_triggers",
        "models": "",
    }


def test_an_output_folder_that_cannot_be_written_is_named(server: GpuServer, store: FirestoreStore) -> None:
    ids = send(store, [9])
    (server.root / "a file").touch()
    (line,) = commands(seed.TRANSFER, {"/data/cvat-annotations": f"'{server.root}/a file/inside'"})
    result = check(server.line(line), 2)
    assert "--output-dir" in result.stderr
    assert set(statuses(store, ids).values()) == {"pending"}


@pytest.mark.parametrize("block", [seed.TRANSFER, seed.RETURN], ids=["transfer", "return"])
def test_a_missing_key_ends_in_a_failure(server: GpuServer, block: str) -> None:
    (server.data / "cvat-exports" / "annotations.xml").write_text("<annotations></annotations>")
    (line,) = commands(block, here(server))
    result = server.line(line.replace("service-account.json", "nowhere.json"))
    assert result.returncode == 2
    assert "nowhere.json" in result.stderr


def test_missing_annotations_end_in_a_failure(server: GpuServer) -> None:
    (line,) = commands(seed.RETURN, here(server))
    result = server.line(line)
    assert result.returncode in {2, 4}
    assert "annotations.xml" in result.stderr


def test_a_pose_has_the_printed_fields_and_statuses(server: GpuServer, store: FirestoreStore) -> None:
    (key,) = send(store, [8])
    printed = json.loads(seed.UNCERTAIN_POSE.replace("[...]", "[]"))
    document = raw(store, "uncertain_poses").document(key).get().to_dict()
    assert set(printed) <= set(document)
    assert set(printed["status"].split("|")) < set(CAPTURE_STATUSES)
    raw(store, "uncertain_poses").document("pose_uuid").set(
        printed | {"status": "pending", "timestamp": "2025-09-11T08:30:00Z"}
    )
    found = store.get(["pose_uuid"])["pose_uuid"]
    assert (found.confidence, found.priority, found.device_id) == (0.3, 8, "device_uuid")
    assert (found.joint_group, found.problems) == ("all", ())


def test_the_settings_that_the_seed_edits_into_the_script(server: GpuServer, store: FirestoreStore) -> None:
    """Its lines 32 and 319 are now two entries of SETTINGS, near the top."""
    bucket = re.search(r"'storageBucket': '([^']+)'", seed.SETTINGS)
    path = re.search(r'image_path = f"([^"]+)"', seed.SETTINGS)
    assert bucket
    assert path
    script = server.folder / "firebase_to_cvat_transfer.py"
    before = script.read_text(encoding="utf-8")
    edited = before.replace('"storageBucket": None', bucket.group(0))
    edited = edited.replace('"imagePath": None', f'"imagePath": "{path.group(1)}"')
    assert edited.count(bucket.group(0)) == edited.count(path.group(1)) - before.count(path.group(1)) == 1
    script.write_text(edited, encoding="utf-8")
    try:
        (key,) = send(store, [9])
        check(server.line(commands(seed.EMERGENCY)[0]))
        assert statuses(store, [key]) == {key: "in_progress"}
        script.write_text(edited.replace(bucket.group(1), "another-bucket"), encoding="utf-8")
        more = Capture("more", 0.1, 9, taken=MORNING, poses=(seen(1),))
        assert store.create(more, jpeg(1))
        result = server.line(commands(seed.EMERGENCY)[0])
        assert result.returncode == 3
        assert "another-bucket" in result.stderr
    finally:
        script.write_text(before, encoding="utf-8")
    assert f"{PROJECT}.appspot.com" == bucket.group(1)


@pytest.mark.parametrize("confidence", [0.02, 0.1, 0.25, 0.3, 0.5, 0.59])
def test_thresholds_and_priorities(confidence: float) -> None:
    known: dict[str, Any] = {"threshold": Firebase().upload_threshold, "confidence": confidence}
    exec(seed.THRESHOLDS, known)
    assert known["MIN_CONFIDENCE"] == Firebase().min_confidence
    assert known["RETRAINING_THRESHOLD"] == Firebase().retraining_threshold
    assert known["priority"] == priority_of(confidence, known["threshold"])


def test_the_seeds_five_joints_are_a_schema() -> None:
    assert set(load_schema("dog5").joints) == set(seed.JOINTS)


def test_a_batch_with_the_seeds_joints(server: GpuServer, store: FirestoreStore, sandbox: Sandbox) -> None:
    server.fresh(sandbox.url, pose={"joints": "dog5"})
    send(store, [9])
    check(server.line(commands(seed.EMERGENCY)[0]))
    plain = signed_in(sandbox)
    (project,) = plain("GET", "/api/projects").json["results"]
    assert set(plain.labels(project["id"])) == set(seed.JOINTS)
    plain.close()


def test_models_are_documents_that_devices_can_read(store: FirestoreStore, tmp_path: Path) -> None:
    """The seed's promise of a better model on the devices."""
    (tmp_path / "best.onnx").write_bytes(b"weights")
    model = PublishedModel("v1", "dog24", MORNING)
    published = store.publish(model, {"onnx": tmp_path / "best.onnx"})
    document = raw(store, "models").document("v1").get().to_dict()
    assert document["current"] is True
    assert document["files"] == dict(published.files)


# --- lines that are not run --------------------------------------------------------------------------------------


def test_lines_to_other_machines_are_understood_by_a_shell() -> None:
    """No other machine is reached from a test."""
    lines = [line for block in seed.BASH for line in commands(block) if line.startswith(("scp ", "ssh "))]
    assert len(lines) == 3
    for line in lines:
        words = shlex.split(line)
        assert any(word.startswith("gpusrv.tailfdc654.ts.net") for word in words)


def test_docker_lines_are_done_by_the_setup(server: GpuServer) -> None:
    """Why: one `cvat/server` container has no database, queues, workers, page and proxy, so nothing answers on its port,
    and the printed volumes lay the pictures over the keys of CVAT. The setup starts CVAT by its own compose file.
    """
    lines = [line for block in (seed.CVAT, seed.CONNECTION) for line in commands(block)]
    assert [shlex.split(line)[:2] for line in lines] == [
        ["docker", "run"],
        ["docker", "ps"],
        ["docker", "restart"],
    ]
    calls = server.machine.calls
    (up,) = [call for call in calls if call.startswith("docker compose") and call.endswith("up --detach")]
    assert "docker-compose.yml" in up
    assert not [call for call in calls if call.startswith(("docker run", "docker restart"))]
    started = next(call for call in calls if call.startswith("cvat/server:"))
    assert started.endswith(f"share {server.data}/cvat-annotations")


def test_every_bash_line_of_the_seed_is_accounted_for() -> None:
    """Run above: Python, bash, pip, cat, curl and cd; parsed: scp and ssh; replaced: docker."""
    known = {"python3", "bash", "pip3", "cat", "curl", "cd", "scp", "ssh", "docker"}
    assert {shlex.split(line)[0] for block in seed.BASH for line in commands(block)} == known
