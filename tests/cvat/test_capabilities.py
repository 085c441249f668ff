"""What is used on a server follows from its version, at each version where something changed."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from agir_cvtoolkit.cvat import Capabilities
from agir_cvtoolkit.cvat.capabilities import capabilities_of
from agir_cvtoolkit.errors import ServerFaultError
from agir_cvtoolkit.sandbox import generation_of

URL = "http://cvat.test"
BOUNDARIES = {
    "score": ("2.59.9", "2.60.0"),
    "access_tokens": ("2.47.9", "2.48.0"),
    "old_export": ("2.32.0", "2.31.9"),
    "validation_layout": ("2.20.9", "2.21.0"),
}
"""Of each capability the neighbouring versions without it and with it."""


def test_every_capability_has_a_boundary() -> None:
    assert {field.name for field in fields(Capabilities)} == {"version", *BOUNDARIES}


@pytest.mark.parametrize("name", BOUNDARIES)
def test_a_capability_changes_between_two_versions(name: str) -> None:
    without, having = (capabilities_of(version, URL) for version in BOUNDARIES[name])
    assert (getattr(without, name), getattr(having, name)) == (False, True)
    # Nothing else changes there.
    assert replace(without, version=having.version, **{name: True}) == having


@pytest.mark.parametrize("version", ["2.81.0", "2.99.3", "3.1", "3.1.0-beta", "v10.0", "develop", "", None])
def test_what_is_newer_or_named_otherwise_is_taken_for_the_newest(version: str | None) -> None:
    newest = capabilities_of("2.80.0", URL)
    assert replace(capabilities_of(version, URL), version=newest.version) == newest


@pytest.mark.parametrize("version", ["2.19.9", "2.19", "1.7.0", "0.1"])
def test_what_is_older_is_refused_with_the_next_step(version: str) -> None:
    with pytest.raises(ServerFaultError, match=rf"{URL} is version {version}, older than 2\.20") as caught:
        capabilities_of(version, URL)
    assert "Update the server" in caught.value.next_step


@pytest.mark.parametrize("version", sorted({one for pair in BOUNDARIES.values() for one in pair}))
def test_the_sandbox_plays_what_the_client_expects(version: str) -> None:
    client, server = capabilities_of(version, URL), generation_of(version)
    assert (client.score, client.access_tokens) == (server.writes_score, server.access_tokens)
    assert (client.old_export, client.validation_layout) == (server.old_exports, server.validation)
