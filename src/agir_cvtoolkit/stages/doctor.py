"""``doctor``: check configuration, credentials, server, databases, parts and GPU."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal

from agir_cvtoolkit._version import __version__
from agir_cvtoolkit.config import Settings, load_credentials
from agir_cvtoolkit.errors import AgirError, RemoteError

from ._call import Call

if TYPE_CHECKING:
    from agir_cvtoolkit.cvat import CvatSession

_PARTS = (
    ("torch", "train"),
    ("lightning", "train"),
    ("efficientnet-lite-pytorch", "train"),
    ("pyarrow", "parquet"),
    ("psycopg", "postgres"),
    ("duckdb", "duckdb"),
)
_IDS = ("cutout_id", "id", "image_id")
_LOW_DISK = 5 * 2**30
_SOON = timedelta(days=14)


@dataclass(frozen=True)
class Check:
    """One check: ``ok``, ``warning`` or ``failed``, with what to do."""

    name: str
    state: Literal["ok", "warning", "failed"]
    text: str


@dataclass(frozen=True)
class Diagnosis:
    """All checks."""

    checks: tuple[Check, ...]
    server_failed: bool

    @property
    def exit_code(self) -> int:
        """0 where nothing failed, 3 where the server did, else 2."""
        if not any(check.state == "failed" for check in self.checks):
            return 0
        return 3 if self.server_failed else 2


def doctor(call: Call | None = None) -> Diagnosis:
    """Check everything that the loop stands on; nothing is changed.

    Raises:
        ConfigError: the configuration is wrong.
    """
    call = call or Call()
    settings = call.settings()
    checks = [
        Check("agir-cvtoolkit", "ok", f"{__version__} on Python {platform.python_version()}, {sys.platform}")
    ]
    checks += _disk(settings)
    checks += _databases(settings)
    checks += _optional_parts()
    checks += _gpu()
    checks.append(_ledger(settings))
    server, server_failed = _server(settings)
    return Diagnosis((*checks, *server), server_failed)


def _disk(settings: Settings) -> Iterator[Check]:
    folder = settings.io.out_root
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    state: Literal["ok", "warning"] = "ok" if free > _LOW_DISK else "warning"
    yield Check("disk", state, f"{free / 2**30:.0f} GiB free for {settings.io.out_root}")


def _databases(settings: Settings) -> Iterator[Check]:
    from agir_cvtoolkit.sources.opening import open_database

    for name, database in (("semif", settings.db.semif), ("field", settings.db.field)):
        if not database.db_path:
            yield Check(f"database {name}", "warning", f"not configured; set db.{name}.db_path")
            continue

        def count(address: str = database.db_path, table: str = database.table, name: str = name) -> str:
            key = getattr(settings.data, name).cutout_id_column
            with open_database(address, f"db.{name}.db_path", (key, *_IDS)) as opened:
                source = opened.source(table, (key, *_IDS), f"db.{name}.table")
                return f"{opened.name}, table {table} with {len(source.kinds)} columns"

        yield _tried(f"database {name}", count)


def _optional_parts() -> Iterator[Check]:
    for package, extra in _PARTS:
        try:
            yield Check(package, "ok", version(package))
        except PackageNotFoundError:
            hint = f"not installed; pip install 'agir-cvtoolkit[{extra}]'"
            yield Check(package, "warning", hint)


def _gpu() -> Iterator[Check]:
    try:
        version("torch")
    except PackageNotFoundError:
        return
    from agir_cvtoolkit.models.devices import describe_devices

    found = describe_devices()
    yield Check("GPU", "ok" if found else "warning", ", ".join(found) or "none; models run on the CPU")


def _ledger(settings: Settings) -> Check:
    from agir_cvtoolkit.ledger import Ledger, describe_database

    url, out_root = settings.io.ledger_url, settings.io.out_root

    def count() -> str:
        if not Ledger.is_there(url, out_root):
            where = "" if url is None else f" in {describe_database(url, out_root)}"
            return f"will be made by the first stage that needs it{where}"
        with Ledger.open_to_read(url, out_root) as ledger:
            known = f"{len(ledger.pushes())} pushes, {len(ledger.models())} models"
        return f"{describe_database(url, out_root)}: {known}"

    return _tried("ledger", count)


def _server(settings: Settings) -> tuple[list[Check], bool]:
    try:
        credentials = load_credentials(settings.io.keys_file)
    except AgirError as error:
        return [Check("credentials", "failed", str(error))], False
    checks = [Check("credentials", "ok", f"for {credentials.url}, from {credentials.origin}")]
    from ._connect import connect

    try:
        target = connect(settings, "cvat_upload", settings.cvat_upload.project_id)
    except AgirError as error:
        return [*checks, Check("server", "failed", str(error))], isinstance(error, RemoteError)
    session = target.session
    checks.append(Check("server", "ok", f"CVAT {session.capabilities.text} at {session.url}"))
    checks += _access_token(session)
    if target.project is not None and target.labels is not None:
        labels = ", ".join(target.labels.names) or "none"
        checks.append(
            Check("project", "ok", f"{target.project.id} '{target.project.name}', labels: {labels}")
        )
    return checks, False


def _access_token(session: CvatSession) -> Iterator[Check]:
    token = session.access_token
    if token is None:
        return
    texts = [f"'{token.name}'", "does not expire"]
    left = None if token.expires is None else token.expires - datetime.now(UTC)
    if left is not None:
        texts[1] = f"expires {token.expires:%Y-%m-%d %H:%M} UTC, in {max(left.days, 0)} days"
    if token.read_only:
        texts.append("read-only: it serves download-cvat, but upload-cvat and undo need one that may write")
    wanting = token.read_only or (left is not None and left < _SOON)
    if wanting:
        texts.append(f"make another at {session.url}/profile#security")
    yield Check("access token", "warning" if wanting else "ok", "; ".join(texts))


def _tried(name: str, work: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", work())
    except AgirError as error:
        return Check(name, "failed", str(error))
