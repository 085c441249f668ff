"""Functions on Google's side have an account of their own, and no key file."""

from __future__ import annotations

import google.auth
import pytest
from google.auth.credentials import AnonymousCredentials

from agir_cvtoolkit.config import Firebase
from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.firebase._connection import connect

SETTINGS = Firebase(project_id="some-project")


def test_a_function_takes_the_account_that_it_runs_as(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(google.auth, "default", lambda **_: (AnonymousCredentials(), "some-project"))
    connection = connect(SETTINGS, None, {"K_SERVICE": "reserve-retraining"})
    assert "some-project" in connection.place
    connection.close()


def test_elsewhere_a_key_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="no key of a service account"):
        connect(SETTINGS, None, {})
