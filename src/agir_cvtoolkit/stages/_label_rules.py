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
        classes: label by mask value, as the label map or the model names them.
        by_value: the label map names them, so mask values decide, and columns do not.
    """

    fields: tuple[tuple[str, str], ...]
    default: str | None
    classes: Mapping[int, str]
    by_value: bool = False

    @classmethod
    def from_settings(
        cls,
        label_map: Mapping[str, str | dict[int, str]],
        class_names: Mapping[int, str],
        *,
        by_value: bool = False,
    ) -> LabelRules:
        """Read a label map.

        Args:
            label_map: as configured.
            class_names: label by mask value as the model card names them, where the map has no ``_class``.
            by_value: these names decide, and columns do not: they were imported with the masks.

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
                classes, by_value = value, True
            elif not isinstance(value, str):
                raise ConfigError(f"cvat_upload.label_map.{key} must be a label or '{_VALUE}'")
            elif key == _DEFAULT:
                default = value
            else:
                fields.append((key, value))
        return cls(tuple(fields), default, classes, by_value)

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

    def labels_of(
        self,
        mask_values: Collection[int],
        values: Mapping[str, FieldValue],
        conflicts: Collection[str] = (),
    ) -> dict[int, str]:
        """Return the label of each value in a mask.

        Where the label map names classes, each value has its own label, those that are not named the default.
        Where the model names several classes, and the mask has no others, so do they. Else the whole mask has
        the label of its record.

        Args:
            mask_values: that occur in the mask, without the background.
            values: of the record, by column.
            conflicts: columns in which the rows of the picture differ.

        Raises:
            LabelError: a value is not named and there is no default, or see `label_for`.
        """
        if self.by_value:
            return {value: self._named(value) for value in mask_values}
        if mask_values and len(self.classes) > 1 and all(value in self.classes for value in mask_values):
            return {value: self.classes[value] for value in mask_values}
        return dict.fromkeys(mask_values, self.label_for(values, conflicts))

    def _named(self, value: int) -> str:
        label = self.classes.get(value, self.default)
        if label is None:
            raise LabelError(
                f"mask value {value} has no label in cvat_upload.label_map._class",
                "Name it there, or add _default to cvat_upload.label_map.",
            )
        return label


def _has_value(value: FieldValue) -> bool:
    if value is None or value == "" or value is False:
        return False
    if isinstance(value, float) and math.isnan(value):
        return False
    return not (isinstance(value, str) and value.strip().lower() in {"", "none", "null", "nan"})
