"""Colours of pages: those of Okabe and Ito (2008), told apart without colour vision, for light and for dark paper.

Each colour has a name; charts are drawn in stand-ins, which become the CSS variables of these names, so that one
drawing serves both.
"""

from __future__ import annotations

from typing import Final

LIGHT: Final = {
    "paper": "#ffffff",
    "ink": "#1b1f23",
    "faint": "#5a6169",
    "grid": "#dfe2e5",
    "soft": "#f4f6f7",
    "s1": "#0072b2",
    "s2": "#d55e00",
    "s3": "#00805d",
    "s4": "#a34d7c",
    "s5": "#5a6169",
    "b1": "#cfd8dc",
    "b2": "#56b4e9",
    "b3": "#f0e442",
    "b4": "#d55e00",
    "b5": "#0072b2",
    "b6": "#ffffff",
    "hatch": "#1b1f23",
    "good": "#00664a",
    "warn": "#a03c00",
}
DARK: Final = {
    "paper": "#15181b",
    "ink": "#e8eaed",
    "faint": "#a7aeb5",
    "grid": "#363c42",
    "soft": "#1e2327",
    "s1": "#56b4e9",
    "s2": "#f0a03c",
    "s3": "#3ecf9f",
    "s4": "#e29ac4",
    "s5": "#a7aeb5",
    "b1": "#56606a",
    "b2": "#56b4e9",
    "b3": "#cfc43a",
    "b4": "#e07b33",
    "b5": "#2b86c5",
    "b6": "#15181b",
    "hatch": "#0b0d0f",
    "good": "#3ecf9f",
    "warn": "#f0a03c",
}
STAND_INS: Final = {name: f"#0{number:02x}0fe" for number, name in enumerate(LIGHT)}
"""What charts are drawn in, by name; nothing else in a drawing has these colours."""


def variables(colours: dict[str, str]) -> str:
    """Return colours as CSS variables."""
    return "".join(f"--{name}:{value};" for name, value in colours.items())


def with_variables(svg: str) -> str:
    """Return a drawing with its stand-ins replaced by variables."""
    for name, stand_in in STAND_INS.items():
        svg = svg.replace(stand_in, f"var(--{name})")
    return svg
