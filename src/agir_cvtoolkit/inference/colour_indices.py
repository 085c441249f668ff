"""Colour indices that are larger on plants than on soil.

Each takes the red, green and blue planes of a picture, float32 0..255, and returns a plane. Quotients have a little added
to what they divide by: the colour of near-black pixels is the sensor's noise and must not count as green.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

_SHADE = np.float32(30)
"""Added to a sum of three bytes; a part of it to a sum of fewer."""
_THIRD = np.float32(10)


@dataclass(frozen=True)
class ColourIndex:
    """An index and where it can be expected.

    Attributes:
        plane: computes it.
        low, high: its histogram is taken between these; few pixels of a field lie outside.
        floor: below this even a clear second mode is no plant but soil of another tint. Floors and ceilings are
            those between which the best threshold of each of 19 labelled pictures of fields and single plants lay.
        ceiling: above this a threshold splits one plant from another, in pictures that are full of leaves.
        paper: where it comes from.
    """

    plane: Callable[[Plane, Plane, Plane], Plane]
    low: float
    high: float
    floor: float
    ceiling: float
    paper: str


def excess_green(red: Plane, green: Plane, blue: Plane) -> Plane:
    """Return (2g - r - b) / (r + g + b)."""
    total = red + green + blue
    index: Plane = (3 * green - total) / (total + _SHADE)
    return index


def excess_green_raw(red: Plane, green: Plane, blue: Plane) -> Plane:
    """Return (2g - r - b) / 255: bright leaves count more than dark ones."""
    index: Plane = (2 * green - red - blue) / np.float32(255)
    return index


def excess_green_minus_red(red: Plane, green: Plane, blue: Plane) -> Plane:
    """Return excess green less excess red, (3g - 2.4r - b) / (r + g + b)."""
    index: Plane = (3 * green - np.float32(2.4) * red - blue) / (red + green + blue + _SHADE)
    return index


def green_red_difference(red: Plane, green: Plane, _blue: Plane) -> Plane:
    """Return (g - r) / (g + r)."""
    index: Plane = (green - red) / (green + red + 2 * _THIRD)
    return index


def visible_resistance(red: Plane, green: Plane, blue: Plane) -> Plane:
    """Return (g - r) / (g + r - b); what is divided by is kept away from 0, where the index has no meaning."""
    index: Plane = (green - red) / np.maximum(green + red - blue + _THIRD, 2 * _THIRD)
    return index


def colour_of_vegetation(red: Plane, green: Plane, blue: Plane) -> Plane:
    """Return -(0.441r - 0.811g + 0.385b + 18.78745) / 255: turned, since the original is smaller on plants."""
    mixed = np.float32(0.811) * green - np.float32(0.441) * red - np.float32(0.385) * blue
    index: Plane = (mixed - np.float32(18.78745)) / np.float32(255)
    return index


def green_leaf(red: Plane, green: Plane, blue: Plane) -> Plane:
    """Return (2g - r - b) / (2g + r + b)."""
    index: Plane = (2 * green - red - blue) / (2 * green + red + blue + _SHADE)
    return index


def vegetative(red: Plane, green: Plane, blue: Plane) -> Plane:
    """Return ln(g / (r^0.667 b^0.333)): the logarithm, so that steps are alike on both sides of grey."""
    logs = [np.log(plane + _THIRD) for plane in (red, green, blue)]
    index: Plane = logs[1] - np.float32(0.667) * logs[0] - np.float32(0.333) * logs[2]
    return index


def modified_green_red(red: Plane, green: Plane, _blue: Plane) -> Plane:
    """Return (g² - r²) / (g² + r²)."""
    greens, reds = np.square(green), np.square(red)
    index: Plane = (greens - reds) / (greens + reds + np.square(_SHADE))
    return index


def red_green_blue(red: Plane, green: Plane, blue: Plane) -> Plane:
    """Return (g² - rb) / (g² + rb)."""
    greens, others = np.square(green), red * blue
    index: Plane = (greens - others) / (greens + others + np.square(_SHADE))
    return index


INDICES: Mapping[str, ColourIndex] = {
    "excess_green": ColourIndex(
        excess_green, -0.5, 1.0, 0.07, 0.25,
        'Woebbecke et al. 1995, "Color indices for weed identification under various soil, residue, and lighting'
        ' conditions"; normalised',
    ),
    "excess_green_raw": ColourIndex(
        excess_green_raw, -0.75, 1.25, 0.1, 0.25,
        'Woebbecke et al. 1995, "Color indices for weed identification under various soil, residue, and lighting'
        ' conditions"',
    ),
    "exgr": ColourIndex(
        excess_green_minus_red, -1.0, 1.25, -0.02, 0.38,
        'Meyer & Neto 2008, "Verification of color vegetation indices for automated crop imaging applications"',
    ),
    "ngrdi": ColourIndex(
        green_red_difference, -0.5, 0.75, 0.02, 0.21,
        'Tucker 1979, "Red and photographic infrared linear combinations for monitoring vegetation"',
    ),
    "vari": ColourIndex(
        visible_resistance, -0.75, 1.25, 0.03, 0.36,
        'Gitelson et al. 2002, "Novel algorithms for remote estimation of vegetation fraction"',
    ),
    "cive": ColourIndex(
        colour_of_vegetation, -0.4, 0.4, -0.03, 0.025,
        'Kataoka et al. 2003, "Crop growth estimation system using machine vision"',
    ),
    "gli": ColourIndex(
        green_leaf, -0.4, 0.8, 0.05, 0.22,
        'Louhaichi et al. 2001, "Spatially located platform and aerial photography for documentation of grazing'
        ' impacts on wheat"',
    ),
    "veg": ColourIndex(
        vegetative, -0.75, 1.5, 0.1, 0.44,
        'Hague et al. 2006, "Automated crop and weed monitoring in widely spaced cereals"',
    ),
    "mgrvi": ColourIndex(
        modified_green_red, -0.8, 1.0, 0.04, 0.41,
        'Bendig et al. 2015, "Combining UAV-based plant height from crop surface models, visible, and near infrared'
        ' vegetation indices for biomass monitoring in barley"',
    ),
    "rgbvi": ColourIndex(
        red_green_blue, -0.6, 1.0, 0.12, 0.41,
        'Bendig et al. 2015, "Combining UAV-based plant height from crop surface models, visible, and near infrared'
        ' vegetation indices for biomass monitoring in barley"',
    ),
}  # fmt: skip
"""The indices by name."""
