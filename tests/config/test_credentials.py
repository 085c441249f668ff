"""Credentials: from the environment or the keys file, shown nowhere."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from agir_cvtoolkit.config import describe_credentials, load_credentials, redacted
from agir_cvtoolkit.errors import ConfigError

ENVIRONMENT = {"CVAT_URL": "http://env:8080", "CVAT_USERNAME": "eve", "CVAT_PASSWORD": "env secret"}


def keys(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "default.yaml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


FILE = "cvat:\n  url: https://app.cvat.ai/\n  username: ann\n  password: file secret\n"


@pytest.mark.parametrize("name", ["url", "host"])
def test_url_and_host_mean_the_same(tmp_path: Path, name: str) -> None:
    found = load_credentials(keys(tmp_path, FILE.replace("url", name)), {})
    assert (found.base_url, found.username, found.password) == ("https://app.cvat.ai", "ann", "file secret")
    assert found.origin == str(tmp_path / "default.yaml")


def test_the_environment_wins(tmp_path: Path) -> None:
    found = load_credentials(keys(tmp_path, FILE), ENVIRONMENT)
    assert (found.base_url, found.username, found.password) == ("http://env:8080", "eve", "env secret")
    assert found.origin == "the environment"
    assert load_credentials(tmp_path / "none", ENVIRONMENT).username == "eve"
    old = load_credentials(
        tmp_path / "none", {"CVAT_HOST": "http://h", "CVAT_USERNAME": "a", "CVAT_PASSWORD": "b"}
    )
    assert old.base_url == "http://h"


def test_a_token_wins_over_a_password_of_the_same_place(tmp_path: Path) -> None:
    file = keys(tmp_path, FILE + "  access_token: tok\n")
    found = load_credentials(file, {})
    assert (found.access_token, found.password) == ("tok", None)
    assert load_credentials(file, ENVIRONMENT | {"CVAT_ACCESS_TOKEN": "envtok"}).access_token == "envtok"
    mixed = load_credentials(file, ENVIRONMENT)
    assert (mixed.access_token, mixed.password) == (None, "env secret")


def test_a_url_of_the_environment_with_secrets_of_the_file(tmp_path: Path) -> None:
    found = load_credentials(keys(tmp_path, FILE), {"CVAT_URL": "http://127.0.0.1:9"})
    assert (found.base_url, found.password) == ("http://127.0.0.1:9", "file secret")


@pytest.mark.parametrize(
    "password", ["0123", "yes", "12345", "1e3", "2024-01-01", "null5", "ünïcode", "0x1F"]
)
def test_a_password_is_taken_as_it_is_written(tmp_path: Path, password: str) -> None:
    found = load_credentials(
        keys(tmp_path, f"cvat: {{url: http://h, username: 007, password: {password}}}"), {}
    )
    assert (found.username, found.password) == ("007", password)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no section 'cvat'"),
        ("other: 1", "no section 'cvat'"),
        ("cvat: text", "no section 'cvat'"),
        ("cvat: {url: 'http://h'}", "no credentials for http://h"),
        ("cvat: {url: 'http://h', username: ann}", "no credentials"),
        ("cvat: {url: 'http://h', username: ann, password: null}", "no credentials"),
        ("cvat: {username: ann, password: b}", "no CVAT server"),
        ("cvat: {urll: 'http://h'}", "unknown key 'cvat.urll'"),
        ("cvat: {url: 'ftp://h', access_token: t}", "not the address"),
        ("cvat: {url: 'http://h', access_token: [a, b]}", "must be a text"),
    ],
)
def test_what_is_missing_or_wrong_is_said(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_credentials(keys(tmp_path, text), {})


def test_nothing_at_all_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_credentials(tmp_path / ".keys" / "default.yaml", {})
    assert "CVAT_ACCESS_TOKEN" in caught.value.next_step
    assert ".keys/default.yaml" in caught.value.next_step


@pytest.mark.parametrize(
    "text",
    [
        "cvat:\n  password: hunter2\n bad: [",
        "cvat: {password: hunter2",
        'cvat:\n  password: "hunter2\n',
        "\thunter2",
    ],
)
def test_malformed_yaml_does_not_repeat_the_password(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="not readable YAML") as caught:
        load_credentials(keys(tmp_path, text), {})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "k.yaml"
    path.write_bytes(b"\xff\xfe\x00hunter2")
    with pytest.raises(ConfigError):
        load_credentials(path, {})


def test_secrets_are_not_in_a_repr(tmp_path: Path) -> None:
    for file in (keys(tmp_path, FILE), keys(tmp_path, FILE + "  access_token: tok123\n")):
        found = load_credentials(file, {})
        assert "secret" not in f"{found!r} {found}"
        assert "tok123" not in f"{found!r} {found}"


def test_a_description_shows_where_but_not_what(tmp_path: Path) -> None:
    file = keys(tmp_path, FILE.replace("https://", "https://me:hunter2@") + "  access_token: tok\n")
    rows = {key: (value, origin) for key, value, origin in describe_credentials(file, {"CVAT_PASSWORD": "x"})}
    assert rows["cvat.password"] == ("***", "environment CVAT_PASSWORD")
    assert rows["cvat.access_token"] == ("***", str(file))
    assert rows["cvat.username"] == ("ann", str(file))
    assert "hunter2" not in str(rows)


def test_a_file_that_others_can_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = keys(tmp_path, FILE)
    with caplog.at_level(logging.WARNING, "agir_cvtoolkit"):
        logging.getLogger("agir_cvtoolkit").propagate = True
        load_credentials(file, {})
        assert not caplog.records
        file.chmod(0o644)
        load_credentials(file, {})
    assert "chmod 600" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "no project 7 at http://127.0.0.1:8080/projects/7",
        "wrong user name or password",
        "set CVAT_ACCESS_TOKEN, or write a keys file",
        "mail a@b.c or see https://app.cvat.ai:443",
    ],
)
def test_text_without_secrets_stays(text: str) -> None:
    assert redacted(text) == text


def test_what_is_to_be_written_is_not_redacted(tmp_path: Path) -> None:
    for found in (None, "cvat: [", "other: 1"):
        path = tmp_path / "none.yaml" if found is None else keys(tmp_path, found)
        with pytest.raises(ConfigError) as caught:
            load_credentials(path, {})
        assert "url (https://app.cvat.ai), username and password" in caught.value.next_step
        assert redacted(caught.value.next_step) == caught.value.next_step
