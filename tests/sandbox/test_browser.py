"""A person's login: patient where too many log in, clear about why it is refused."""

from __future__ import annotations

import time

import pytest

from agir_cvtoolkit.errors import AuthenticationError, ServerFaultError
from agir_cvtoolkit.sandbox import Fault, Sandbox
from agir_cvtoolkit.sandbox.browser import Browser

pytestmark = pytest.mark.integration
LOGIN = "/api/auth/login"


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    return shared_sandbox


def log_in(sandbox: Sandbox, password: str = "admin123") -> None:
    Browser(sandbox.url, "admin", password).close()


def test_who_is_told_to_come_back_later_comes_back(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    throttled = Fault(path=LOGIN, status=429, body="json", retry_after=7, times=2)
    sandbox.faults.replace((throttled,))
    log_in(sandbox)
    assert waited == [7.0, 7.0]


def test_a_wrong_password_and_a_broken_server_are_told_apart(sandbox: Sandbox) -> None:
    with pytest.raises(AuthenticationError, match="refused to log in admin"):
        log_in(sandbox, "wrong")
    sandbox.faults.replace((Fault(path=LOGIN, status=503),))
    with pytest.raises(ServerFaultError, match="login of admin was answered with 503"):
        log_in(sandbox)
