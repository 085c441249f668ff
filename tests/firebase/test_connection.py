"""Keys, projects, buckets and emulators: what is used, and what is said when something is missing."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path

import pytest

from agir_cvtoolkit.config import Firebase
from agir_cvtoolkit.errors import AuthenticationError, ConfigError, MissingExtraError
from agir_cvtoolkit.firebase import EmbeddedStore, open_store
from agir_cvtoolkit.firebase.firestore import FirestoreStore

from .samples import JPEG, NOW, capture
from .stubs import http_server, key_file

pytestmark = pytest.mark.integration
TOKEN = json.dumps({"access_token": "x", "expires_in": 3600, "token_type": "Bearer"}).encode()


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("FIRESTORE_EMULATOR_HOST", "STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    return monkeypatch


def test_the_embedded_store_is_opened_without_googles_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "firebase_admin", None)
    settings = Firebase(store="embedded", embedded_dir=str(tmp_path / "s"), image_path="p/{pose_id}.jpeg")
    store = open_store(settings)
    assert isinstance(store, EmbeddedStore)
    store.create(capture("a"), JPEG)
    assert (tmp_path / "s" / "bucket" / "p" / "a.jpeg").read_bytes() == JPEG
    store.close()


def test_without_googles_libraries_the_pip_line_is_told(bare: pytest.MonkeyPatch) -> None:
    bare.setitem(sys.modules, "firebase_admin", None)
    with pytest.raises(MissingExtraError, match=r"agir-cvtoolkit\[firebase\]"):
        open_store(Firebase())


def test_without_a_key_both_ways_to_name_one_are_told(bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"--service-account or GOOGLE_APPLICATION_CREDENTIALS"):
        open_store(Firebase(project_id="p"))


@pytest.mark.parametrize("set_one", ["FIRESTORE_EMULATOR_HOST", "STORAGE_EMULATOR_HOST"])
def test_one_emulator_alone_is_refused(bare: pytest.MonkeyPatch, set_one: str) -> None:
    bare.setenv(set_one, "127.0.0.1:1")
    with pytest.raises(ConfigError, match="Set both or neither"):
        open_store(Firebase(project_id="p"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("{", "is no JSON file"),
        ("[]", "is no key of a service account"),
        ('{"type": "authorized_user"}', "is no key of a service account"),
        ('{"type": "service_account", "private_key": "SECRET"}', "is damaged"),
    ],
)
def test_a_file_that_is_no_key_is_told_without_its_content(
    bare: pytest.MonkeyPatch, tmp_path: Path, content: str | None, said: str
) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
        path.chmod(0o600)
    with pytest.raises(ConfigError, match=said) as caught:
        open_store(Firebase(project_id="p"), service_account=path)
    assert "SECRET" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_the_key_names_the_project_and_the_project_the_bucket(
    bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = key_file(tmp_path / "key.json", "http://127.0.0.1:1/token", project="my-dogs")
    store = open_store(Firebase(), service_account=path)
    assert store.place == "Firestore my-dogs/(default) and bucket my-dogs.appspot.com"
    store.close()
    other = Firebase(service_account=str(path), project_id="other", storage_bucket="b", database="eu")
    store = open_store(other)
    assert store.place == "Firestore other/eu and bucket b"
    store.close()
    bare.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    store = open_store(Firebase())
    assert "my-dogs" in store.place
    store.close()


def test_a_key_that_others_can_read_is_warned_of(
    bare: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = key_file(tmp_path / "key.json", "http://127.0.0.1:1/token")
    with caplog.at_level(logging.WARNING):
        open_store(Firebase(), service_account=path).close()
        assert caplog.text == ""
        path.chmod(0o640)
        open_store(Firebase(), service_account=path).close()
    assert f"chmod 600 {path}" in caplog.text
    assert "PRIVATE" not in caplog.text


def test_a_service_account_works_on_the_emulators(google: Firebase, tmp_path: Path) -> None:
    asked: list[bytes] = []

    def token(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        asked.append(body)
        return 200, TOKEN

    with http_server(token) as url:
        path = key_file(tmp_path / "key.json", f"{url}/token", project=google.project_id or "")
        store = FirestoreStore.open(google, service_account=path, patience_s=120)
        assert store.create(capture("a"), JPEG)
        assert store.picture("a", 100) == JPEG
        assert [found.capture_id for found in store.pending(1, 5)] == ["a"]
        store.close()
    assert asked
    assert b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer" in asked[0]


def test_a_key_that_google_refuses_is_told_at_once(google: Firebase, tmp_path: Path) -> None:
    refusal = json.dumps({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}).encode()
    with http_server(lambda *_: (400, refusal)) as url:
        path = key_file(tmp_path / "key.json", f"{url}/token")
        store = FirestoreStore.open(google, service_account=path, patience_s=600)
        begin = time.monotonic()
        with pytest.raises(AuthenticationError, match="clock is right") as caught:
            store.picture("a", 100)
        assert time.monotonic() - begin < 300
        assert "BEGIN PRIVATE" not in str(caught.value)
        store.close()


def test_emulators_need_no_key_and_no_project(google: Firebase) -> None:
    store = open_store(Firebase())
    assert "demo-agir" in store.place
    assert store.counts(NOW).by_status == {} or store.place
    store.close()
