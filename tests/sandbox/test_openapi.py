from __future__ import annotations

import pytest

from agir_cvtoolkit.sandbox import Sandbox

from .openapi import Description, load_description
from .plain import Plain, pictures

pytestmark = pytest.mark.integration


@pytest.fixture
def own() -> Description:
    """A description of this test's own, for what is wrong on purpose."""
    found = load_description()
    if found is None:
        pytest.skip("AGIR_SHARED_DATA names no folder with CVAT's description beside it")
    return found


def test_answers_are_held_against_the_description(own: Description, plain: Plain, sandbox: Sandbox) -> None:
    task = plain.task(pictures(1))
    path = f"/api/tasks/{task['id']}"
    assert own.errors("GET", path, 200, task) == []
    assert own.checked == 1
    assert any("colour" in text for text in own.errors("GET", path, 200, task | {"colour": 1}))
    assert any("subset" in text for text in own.errors("GET", path, 200, {**task, "subset": None}))
    assert any(
        "'name' is a" in t
        for t in own.errors("GET", path, 200, {k: v for k, v in task.items() if k != "name"})
    )
    assert own.errors("GET", path, 200, task | {"created_date": "yesterday"})
    assert own.errors("GET", path, 200, task | {"assignee": None}) == []
    assert own.errors("GET", path, 201, task) == ["the status should be one of 200"]
    assert own.errors("GET", "/api/nothing", 200, task) == ["2.42.0 has no such operation"]
