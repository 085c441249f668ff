"""How a stage is called: what every command and every function has in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.picture_limit import allow_megapixels, take_sample_bits
from agir_cvtoolkit.progress import Progress, Silent

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.runs import Run


@dataclass(frozen=True)
class Call:
    """Options that every command takes.

    Attributes:
        overrides: ``group.key=value`` in Hydra's grammar, applied in order.
        config: a folder that is used instead of ``conf/``, or the name of a primary configuration in it.
        run: id of a run; None means the current one.
        dry_run: say what would happen and change nothing.
        command_line: recorded in the run's ``cfg.<stage>.yaml``.
        progress: where long work reports how far it is.
    """

    overrides: tuple[str, ...] = ()
    config: str | None = None
    run: str | None = None
    dry_run: bool = False
    command_line: tuple[str, ...] = ()
    progress: Progress = field(default_factory=Silent, compare=False)
    _composed: list[Settings] = field(default_factory=list, init=False, compare=False, repr=False)

    def settings(self) -> Settings:
        """Compose and validate the configuration, once per call; how pictures are read holds from here on.

        Raises:
            ConfigError: an unknown key, a wrong type or an impossible value.
        """
        if not self._composed:
            from agir_cvtoolkit.config import load_settings

            self._composed.append(load_settings(self.overrides, self.config))
        settings = self._composed[0]
        allow_megapixels(settings.io.max_megapixels)
        take_sample_bits(settings.io.sample_bits)
        return settings

    def open_run(self, settings: Settings) -> Run:
        """Open the run that this call works on.

        Raises:
            NoRunError: there is none.
        """
        from agir_cvtoolkit.runs import open_run

        return open_run(Path(settings.io.out_root), self.run)

    @contextmanager
    def work(self, run: Run, stage: str) -> Iterator[None]:
        """Hold a stage of a run and write its log; a dry run does neither.

        Raises:
            UsageError: another process is at it.
        """
        if self.dry_run:
            yield
            return
        from ._log import stage_log

        with run.lock(stage), stage_log(run, stage):
            yield

    def record_config(self, run: Run, stage: str, settings: Settings, groups: Mapping[str, object]) -> None:
        """Write ``cfg.<stage>.yaml`` for the groups that a stage used, without secrets."""
        plain = {name: _without_secrets(group) for name, group in groups.items()}
        run.write_config(stage, plain, tuple(str(_without_secrets(word)) for word in self.command_line))


def _without_secrets(value: object) -> object:
    from agir_cvtoolkit.config import redacted

    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {key: _without_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(inner) for inner in value]
    return value
