"""``models list``, ``models show``: the registry of models, and what each was made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agir_cvtoolkit.errors import UsageError, did_you_mean
from agir_cvtoolkit.ledger import DatasetVersion, Ledger, ModelRow

from ._call import Call
from .datasets import lineage


@dataclass(frozen=True)
class ModelsListed:
    """All models, newest first."""

    models: tuple[ModelRow, ...]


@dataclass(frozen=True)
class ModelShown:
    """One model and where it comes from.

    Attributes:
        model: as the ledger knows it, with its figures.
        there: whether its file still lies where it was.
        dataset: fingerprint of the data set that it was trained on.
        dataset_version: what the ledger knows of that; None where it was made elsewhere.
        lineage: the versions that the data set follows, its parent first.
        configuration: the settings of the training.
        commit: of git where it was trained, or empty.
    """

    model: ModelRow
    there: bool
    dataset: str
    dataset_version: DatasetVersion | None
    lineage: tuple[str, ...]
    configuration: Mapping[str, object] = field(hash=False)
    commit: str


def models_list(call: Call | None = None) -> ModelsListed:
    """List the models that the ledger knows."""
    settings = (call or Call()).settings()
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        return ModelsListed(tuple(ledger.models()))


def models_show(version: str | None = None, call: Call | None = None) -> ModelShown:
    """Show a model and its lineage.

    Args:
        version: the beginning of its version; None is the champion for segmentation.
        call: options of every command.

    Raises:
        UsageError: no version begins so, or several do, or there is no champion.
    """
    settings = (call or Call()).settings()
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        model = _one(ledger.models(), version) if version else ledger.champion()
        datasets = ledger.datasets()
    if model is None:
        raise UsageError("no model is in service", "Name one: agir-cvtoolkit models list")
    trained_on = model.card.get("trained_on")
    dataset = str(trained_on.get("dataset", "")) if isinstance(trained_on, Mapping) else ""
    configuration = model.card.get("configuration")
    known = next((each for each in datasets if each.version == dataset), None)
    return ModelShown(
        model=model,
        there=Path(model.path).is_file(),
        dataset=dataset,
        dataset_version=known,
        lineage=lineage(datasets, known) if known else (),
        configuration=configuration if isinstance(configuration, Mapping) else {},
        commit=str(model.card.get("commit") or ""),
    )


def _one(models: list[ModelRow], version: str) -> ModelRow:
    found = [model for model in models if model.version.startswith(version)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(model.version for model in found)
        raise UsageError(f"several models begin with {version}: {listed}", "Write more of it.")
    near = did_you_mean(version, [model.version for model in models])
    raise UsageError(f"the ledger knows no model {version}", f"{near} agir-cvtoolkit models list".strip())
