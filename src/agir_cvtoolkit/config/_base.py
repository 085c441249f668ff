"""What all configuration groups have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Group(BaseModel):
    """A frozen group of settings; an unknown key is an error, a string is not taken for a number."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=False,
        validate_default=True,
        coerce_numbers_to_str=True,
        protected_namespaces=(),
    )
