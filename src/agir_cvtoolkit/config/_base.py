"""What all configuration groups have in common."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Group(BaseModel):
    """A frozen group of settings; an unknown key is an error, true and false are not taken for numbers."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=False,
        validate_default=True,
        coerce_numbers_to_str=True,
        protected_namespaces=(),
    )

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields.get(info.field_name or "")
        kinds = {field.annotation, *get_args(field.annotation)} if field else set()
        if isinstance(value, bool) and bool not in kinds and kinds & {int, float}:
            raise ValueError("input should be a number, not true or false")
        return value
