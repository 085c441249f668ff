"""What a transfer is asked for: the settings of the group ``firebase``, with what the call says on top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.config._firebase import Firebase
from agir_cvtoolkit.errors import ConfigError, UsageError

LIMIT = 50
PRIORITY = 5


@dataclass(frozen=True)
class TransferOptions:
    """What one transfer shall do; kept in its run, so that a killed one is ended as it was begun.

    Attributes:
        limit: pictures to bring, at most.
        priority: lowest priority that is taken, 1 to 10.
        output_dir: absolute.
        dataset_name: name of the CVAT task.
        create_task: whether there is one.
        cvat_project: name of the project that it belongs to.
        joints: the pose schema, as the configuration names it.
        style, box_label, min_confidence: how the poses are proposed.
        only: ids of the captures that may be taken, in the order in which they are; empty is the queue as it stands.
        chosen_in: the run in which these were chosen.
    """

    limit: int
    priority: int
    output_dir: Path
    gpusrv_host: str
    dataset_name: str
    create_task: bool
    deliver: str
    strip_metadata: bool
    cvat_project: str
    joints: str
    style: str
    box_label: str | None
    min_confidence: float
    only: tuple[str, ...] = ()
    chosen_in: str = ""

    def plain(self) -> dict[str, Any]:
        """Return the options as values that JSON can hold."""
        return {**self.__dict__, "output_dir": str(self.output_dir)}

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> TransferOptions:
        """Read what `plain` gave.

        Raises:
            KeyError: something is missing.
        """
        later = {"only": (), "chosen_in": ""}  # plans of earlier versions lack them
        values = {name: (later | dict(content))[name] for name in cls.__dataclass_fields__}
        return cls(**(values | {"output_dir": Path(values["output_dir"]), "only": tuple(values["only"])}))

    def has_aim_of(self, other: TransferOptions) -> bool:
        """Whether two calls want the same, so that the second may go on filling the first one's run."""
        return replace(self, limit=other.limit, dataset_name=other.dataset_name) == other

    def within(self, settings: Settings, joints: str) -> Settings:
        """Return settings with which poses go where these options say, and as they say.

        Args:
            settings: of the call.
            joints: by what the pose schema is found now.
        """
        group = settings.firebase
        pose = group.pose.model_copy(
            update={"joints": joints, "style": self.style, "box_label": self.box_label}
        )
        changed = {"pose": pose, "min_confidence": self.min_confidence, "cvat_project": self.cvat_project}
        return settings.model_copy(update={"firebase": group.model_copy(update=changed)})


def with_given(group: Firebase, **given: object) -> Firebase:
    """Return the settings with what the call gave in place of what is configured; None is not given.

    Raises:
        ConfigError: a value is impossible.
    """
    from pydantic import ValidationError

    update = {name: value for name, value in given.items() if value is not None}
    if not update:
        return group
    try:
        return Firebase.model_validate(group.model_dump() | update)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        said = str(first["msg"]).removeprefix("Value error, ")
        raise ConfigError(f"firebase.{name}: {said}", "Correct the option, or the setting.") from error


def transfer_options(
    settings: Settings,
    group: Firebase,
    *,
    limit: int,
    priority: int,
    dataset_name: str | None,
    create_task: bool | None,
    now: datetime | None = None,
) -> TransferOptions:
    """Return the options of a transfer.

    Args:
        settings: of the call.
        group: the settings of ``firebase`` that count.
        limit: pictures to bring, at most.
        priority: lowest priority that is taken.
        dataset_name: None is ``pose_estimation_<YYYYMMDD_HHMM>``, local time.
        create_task: None is whether credentials for CVAT are configured.
        now: the time that the name tells.

    Raises:
        UsageError: a value is out of its range, or the host is no host.
        ConfigError: a task is wanted, and there are no credentials.
    """
    if limit < 1:
        raise UsageError(f"the limit is {limit}", "Give --limit a number from 1 on.")
    if not 1 <= priority <= 10:
        raise UsageError(f"the priority is {priority}", "Give --priority a number from 1 to 10.")
    host = group.gpusrv_host
    if host.startswith("-") or any(letter.isspace() or letter in "/'\"`$;&|<>\\" for letter in host):
        raise UsageError(f"'{host}' is no name of a host", "Correct --gpusrv-host.")
    stamp = (now or datetime.now(UTC)).astimezone()
    name = dataset_name or f"pose_estimation_{stamp:%Y%m%d_%H%M}"
    return TransferOptions(
        limit=limit,
        priority=priority,
        output_dir=Path(group.output_dir).expanduser().absolute(),
        gpusrv_host=host,
        dataset_name=name,
        create_task=_wants_task(settings) if create_task is None else create_task,
        deliver=group.deliver,
        strip_metadata=group.strip_metadata,
        cvat_project=group.cvat_project,
        joints=group.pose.joints,
        style=group.pose.style,
        box_label=group.pose.box_label,
        min_confidence=group.min_confidence,
    )


def check_look_at(look_at: int | None, limit: int) -> None:
    """Find out whether there is anything to choose.

    Raises:
        UsageError: no more captures are looked at than are brought.
    """
    if look_at is not None and look_at <= limit:
        raise UsageError(
            f"of {look_at} captures that are looked at {limit} cannot be chosen",
            "Give --look-at a number several times that of --limit.",
        )


def _wants_task(settings: Settings) -> bool:
    from agir_cvtoolkit.config import load_credentials

    try:
        load_credentials(settings.io.keys_file)
    except ConfigError as error:
        if error.problem.startswith(("no CVAT server", "no credentials")):
            return False
        raise
    return True


def made_folder(folder: Path) -> None:
    """Make sure that pictures can be written into a folder.

    Raises:
        UsageError: they cannot.
    """
    probe = folder / f".agir-{datetime.now(UTC):%H%M%S%f}.probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"--output-dir {folder} cannot be written to: {error.strerror or error}",
            "Give another --output-dir (or firebase.output_dir), or make the folder yours:"
            f" sudo install -d -o $USER {folder}",
        ) from error
