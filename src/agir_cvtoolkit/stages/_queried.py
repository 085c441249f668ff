"""Which database the run's query asked."""

from __future__ import annotations

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.runs import Run
from agir_cvtoolkit.sources.spec import read_spec


def queried_db(run: Run, settings: Settings, group: str, db: str) -> str:
    """Return the database of the run's query.

    Args:
        run: with a query.
        settings: tell whether the user set the key.
        group: ``seg_inference`` or ``cvat_upload``.
        db: the value of ``<group>.source.db``; taken where the query does not say.

    Raises:
        ConfigError: the user set another one than the query asked.
    """
    asked = read_spec(run.path("query")).database
    if asked is None or asked == db:
        return db
    if settings.is_explicit(f"{group}.source.db"):
        raise ConfigError(f"{group}.source.db={db}, but the run's query asked {asked}", "Remove the setting.")
    return asked
