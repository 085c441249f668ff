"""Certificates that do not verify, http and https mixed up, and pages that somebody puts before the server."""

from __future__ import annotations

from pathlib import Path

import pytest

from agir_cvtoolkit.sandbox import Fault

from .loopback_tls import AUTHORITY, behind_tls
from .workspace import CREDENTIALS, Workspace

pytestmark = pytest.mark.integration


def failed(workspace: Workspace, *words: str, code: int = 3) -> str:
    outcome = workspace.cli(*(words or ("download-cvat", "-o", "cvat_download.task_ids=[1]")), code=code)
    assert "This is a bug" not in outcome.text
    assert "Traceback" not in outcome.text
    for secret in CREDENTIALS[1:]:
        assert secret not in outcome.text
    return outcome.stderr


def test_a_certificate_of_its_own(predicted: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with behind_tls(predicted.sandbox.url) as url:
        predicted.keys(url=url)
        said = failed(predicted, "upload-cvat")
        assert f"The certificate of {url} does not verify" in said
        assert "cvat.ca_file" in said
        assert "CVAT_CA_FILE" in said
        predicted.keys(url=url, ca_file=str(AUTHORITY))
        assert predicted.upload()["uploaded_annotations"] == 3
        predicted.keys(url=url)
        monkeypatch.setenv("CVAT_CA_FILE", str(AUTHORITY))
        assert predicted.upload()["uploaded_annotations"] == 3
        predicted.cli("doctor", code=None)
        shown = predicted.cli("config", "show", "--origin", code=None).stdout
        assert "ca_file" in shown
    assert len(predicted.tasks()) == 1


@pytest.mark.parametrize(
    ("certificate", "problem", "step"),
    [
        ("expired", "expired", "clock"),
        ("other_name", "not valid for", "name that the certificate was made for"),
    ],
)
def test_a_certificate_that_is_not_right(
    workspace: Workspace, certificate: str, problem: str, step: str
) -> None:
    workspace.cli("query", "--db", "semif")
    with behind_tls(workspace.sandbox.url, certificate) as url:
        workspace.keys(url=url, ca_file=str(AUTHORITY))
        said = failed(workspace)
    assert "does not verify" in said
    assert problem in said
    assert step in said


@pytest.mark.parametrize("content", [None, b"", b"not a certificate", b"\xff\x00"])
def test_a_file_of_certificates_that_is_none(workspace: Workspace, content: bytes | None) -> None:
    workspace.cli("query", "--db", "semif")
    path = Path("authority.pem")
    if content is not None:
        path.write_bytes(content)
    workspace.keys(ca_file="authority.pem")
    workspace.sandbox.forget_requests()
    said = failed(workspace, code=2)
    assert "authority.pem" in said
    assert "cvat.ca_file" in said
    assert list(workspace.sandbox.requests()) == []


def test_https_where_the_server_speaks_http(workspace: Workspace) -> None:
    workspace.cli("query", "--db", "semif")
    workspace.keys(url=workspace.sandbox.url.replace("http:", "https:"))
    said = failed(workspace)
    assert "does not speak https" in said
    assert "http://" in said


def test_http_where_the_server_speaks_https(workspace: Workspace) -> None:
    workspace.cli("query", "--db", "semif")
    with behind_tls(workspace.sandbox.url) as url:
        workspace.keys(url=url.replace("https:", "http:"))
        said = failed(workspace)
    assert "https://" in said


@pytest.mark.parametrize("path", ["/api/server/about", "/api/auth/login", "/api/users/self", "/api/jobs"])
@pytest.mark.parametrize("status", [200, 400, 403, 502])
def test_a_page_of_somebody_else(workspace: Workspace, path: str, status: int) -> None:
    """A proxy's login page, or its page of an error, wherever it comes."""
    workspace.cli("query", "--db", "semif")
    workspace.sandbox.add_fault(Fault(path, status=status, body="html", times=0))
    said = failed(workspace)
    assert "Error: " in said
    assert len(said.splitlines()) <= 3
