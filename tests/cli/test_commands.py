"""Single commands, beyond what all of them share."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from agir_cvtoolkit.cli import main


@pytest.mark.parametrize("name", ["sandbox", "demo", "completion"])
def test_a_command_without_settings_refuses_them(name: str) -> None:
    words = [name, *(["bash"] if name == "completion" else []), "-o", "train.seed=1"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "no settings" in result.stderr
