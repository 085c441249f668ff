"""Which label a record, a box or a mask value gets: ``cvat_upload.label_map``."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from agir_cvtoolkit.errors import ConfigError, LabelError
from agir_cvtoolkit.records import FieldValue

_CLASSES = "_class"
_DEFAULT = "_default"
_VALUE = "{value}"
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class LabelRules:
    """The rules of a label map.

    Attributes:
        fields: column and label text in order; ``{value}`` stands for the column's value.
        default: label of records for which no column has a value.
        classes: label by mask value, for masks of several classes.
    """

    fields: tuple[tuple[str, str], ...]
    default: str | None
    classes: Mapping[int, str]

    @classmethod
    def from_settings(
        cls, label_map: Mapping[str, str | dict[int, str]], class_names: Mapping[int, str]
    ) -> LabelRules:
        """Read a label map.

        Args:
            label_map: as configured.
            class_names: label by mask value as the model card names them, where the map has no ``_class``.

        Raises:
            ConfigError: a value of the wrong kind.
        """
        fields: list[tuple[str, str]] = []
        default: str | None = None
        classes: Mapping[int, str] = class_names
        for key, value in label_map.items():
            if key == _CLASSES:
                if not isinstance(value, dict):
                    raise ConfigError(
                        "cvat_upload.label_map._class must map mask values to labels", "{1: crop, 2: weed}"
                    )
                classes = value
            elif not isinstance(value, str):
                raise ConfigError(f"cvat_upload.label_map.{key} must be a label or '{_VALUE}'")
            elif key == _DEFAULT:
                default = value
            else:
                fields.append((key, value))
        return cls(tuple(fields), default, classes)

    def label_for(self, values: Mapping[str, FieldValue], conflicts: Collection[str] = ()) -> str:
        """Return the label of a record or a box.

        The first column with a value wins. In a picture whose rows differ in that column the default is taken.

        Args:
            values: by column.
            conflicts: columns in which the rows of the picture differ.

        Raises:
            LabelError: the rows differ and there is no default.
        """
        for column, text in self.fields:
            if column in conflicts:
                if self.default is not None:
                    return self.default
                raise LabelError(
                    f"the rows of this picture differ in {column}",
                    "Add _default to cvat_upload.label_map, or predict cutouts (seg_inference.source.image_mode=cutout).",
                )
            value = values.get(column)
            if _has_value(value):
                return str(value) if text == _VALUE else text
        return self.default if self.default is not None else _UNKNOWN

    def is_multiclass(self, mask_values: Collection[int]) -> bool:
        """Whether mask values name the labels: several are named, and these are among them."""
        return len(self.classes) > 1 and all(value in self.classes for value in mask_values)


def _has_value(value: FieldValue) -> bool:
    if value is None or value == "" or value is False:
        return False
    if isinstance(value, float) and math.isnan(value):
        return False
    return not (isinstance(value, str) and value.strip().lower() in {"", "none", "null", "nan"})
