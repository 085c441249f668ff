"""The body of a drawn animal: where its 24 joints are in space, how it stands, and how it looks from one side.

Lengths are in units of the back (withers to tail base); x points forward, y to the animal's left, z up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._ground import RNG

Point = NDArray[np.float64]
STANCES = ("standing", "walking", "running", "sitting", "lying", "sniffing")
SIDES = (("left", 1.0), ("right", -1.0))


@dataclass(frozen=True)
class Build:
    """What does not change while an animal moves.

    Attributes:
        leg: length of a fore leg; a hind leg is a little longer.
        girth: radius of the chest.
        neck, head, muzzle, tail: lengths.
        ear: length of an ear; `floppy` ears hang.
        bushy: thickness of the tail, relative to that of a thin one.
    """

    leg: float
    girth: float
    neck: float
    head: float
    muzzle: float
    tail: float
    ear: float
    floppy: bool
    bushy: float

    @staticmethod
    def drawn(rng: RNG) -> Build:
        """Return a build by chance: from short-legged and long to tall and slim."""
        return Build(
            leg=rng.uniform(0.5, 0.95),
            girth=rng.uniform(0.17, 0.27),
            neck=rng.uniform(0.3, 0.48),
            head=rng.uniform(0.19, 0.25),
            muzzle=rng.uniform(0.14, 0.28),
            tail=rng.uniform(0.4, 0.85),
            ear=rng.uniform(0.12, 0.24),
            floppy=bool(rng.random() < 0.45),
            bushy=rng.uniform(0.7, 2.0),
        )


def posed(build: Build, stance: str, rng: RNG) -> dict[str, Point]:
    """Return the joints of ``dog24`` and a few inner points (``skull``, ``*_hock``, ``*_ear_root``), each (3,).

    Args:
        build: of the animal.
        stance: one of `STANCES`.
        rng: where chance comes from.
    """
    at: dict[str, Point] = {
        "withers": _at(0.5, 0, 0.06),
        "center": _at(rng.normal(0, 0.03), 0, 0.08 + rng.normal(0.0, 0.02)),
        "tail_base": _at(-0.5, 0, 0.03),
    }
    _head(at, build, stance, rng)
    _legs(at, build, stance, rng)
    _tail(at, build, stance, rng)
    if stance == "sitting":
        _pitch(at, rng.uniform(0.5, 0.8), build)
    return at


def _head(at: dict[str, Point], build: Build, stance: str, rng: RNG) -> None:
    low = {"sniffing": (-1.0, -0.4), "running": (0.2, 0.7), "lying": (0.5, 1.1), "sitting": (0.2, 0.6)}
    rise = rng.uniform(*low.get(stance, (0.45, 1.15)))
    nod = rise - rng.uniform(0.5, 1.2) if stance != "sniffing" else rise + rng.uniform(-0.5, 0.2)
    turn = rng.normal(0, 0.45)
    neck = _at(np.cos(rise), 0, np.sin(rise))
    skull = at["withers"] + build.neck * neck + _at(0, 0.12 * turn, 0)
    at["throat"] = at["withers"] + 0.55 * build.neck * neck + 0.16 * _at(np.sin(rise), 0, -np.cos(rise))
    ahead = _at(np.cos(nod) * np.cos(turn), np.cos(nod) * np.sin(turn), np.sin(nod))
    side = _at(-np.sin(turn), np.cos(turn), 0)
    up = np.cross(ahead, side)
    reach = build.head * 0.55
    at["skull"] = skull
    at["nose"] = skull + ahead * (reach + build.muzzle) - up * 0.04
    for name, sign in SIDES:
        root = skull - ahead * 0.03 + up * build.head * 0.42 + side * sign * build.head * 0.38
        fall = up * -0.85 + side * sign * 0.45 if build.floppy else up * 0.9 + side * sign * 0.3
        at[f"{name}_eye"] = skull + ahead * reach * 0.85 + up * 0.055 + side * sign * build.head * 0.53
        at[f"{name}_ear_root"] = root
        at[f"{name}_ear"] = root + fall * build.ear


def _legs(at: dict[str, Point], build: Build, stance: str, rng: RNG) -> None:
    swing = {"walking": 0.38, "running": 0.85, "standing": 0.08, "sniffing": 0.15}.get(stance, 0.08)
    phase = rng.uniform(0, 2 * np.pi)
    for index, (side, sign) in enumerate(SIDES):
        step = np.sin(phase + np.pi * index) * swing
        other = np.sin(phase + np.pi * (index + 0.75)) * swing
        shoulder = at["withers"] + _at(-0.02, sign * build.girth * 0.78, -build.girth * 1.05)
        hip = at["tail_base"] + _at(0.09, sign * build.girth * 0.72, -build.girth * 0.75)
        lift = max(0.0, np.cos(phase + np.pi * index)) * swing
        if stance == "lying":
            fore, back = (-0.9 + rng.normal(0, 0.1), 1.5), (1.25 + rng.normal(0, 0.1), -1.35, 1.5)
        elif stance == "sitting":
            fore, back = (-0.55, -0.55 + rng.normal(0, 0.06)), (0.75, -1.0, 0.9)
        else:
            fore = (step - 0.22, step * 0.75 + 0.08 - lift * 1.1)
            back = (other + 0.32, other - 0.5 - lift * 0.5, other * 0.6 + 0.12)
        upper, lower = build.leg * 0.42, build.leg * 0.55
        elbow = shoulder + upper * _down(fore[0])
        thigh, shank, foot = build.leg * 0.4, build.leg * 0.38, build.leg * 0.33
        knee = hip + thigh * _down(back[0])
        hock = knee + shank * _down(back[1])
        at[f"{side}_front_shoulder"], at[f"{side}_front_elbow"] = shoulder, elbow
        at[f"{side}_front_paw"] = elbow + lower * _down(fore[1])
        at[f"{side}_hip"], at[f"{side}_knee"] = hip, knee
        at[f"{side}_hock"] = hock
        at[f"{side}_back_paw"] = hock + foot * _down(back[2])


def _tail(at: dict[str, Point], build: Build, stance: str, rng: RNG) -> None:
    rise = rng.uniform(-0.9, 1.1) if stance not in {"lying", "sitting"} else rng.uniform(-0.5, 0.1)
    bend, wag = rng.uniform(-0.1, 0.55), rng.normal(0, 0.35)
    here = at["tail_base"]
    for number, name in enumerate(("tail_mid_1", "tail_mid_2", "tail_tip")):
        angle, away = rise + bend * number, wag * (number + 0.5)
        here = here + build.tail / 3 * _at(-np.cos(angle), np.sin(away), np.sin(angle))
        at[name] = here


def _pitch(at: dict[str, Point], angle: float, build: Build) -> None:
    """Raise the fore part by an angle about the hips; legs that carry stay upright by their own angles."""
    pivot = at["tail_base"].copy()
    level = {name: at[name].copy() for name in at}
    cos, sin = np.cos(angle), np.sin(angle)
    for name, point in level.items():
        x, _, z = point - pivot
        at[name] = pivot + _at(x * cos - z * sin, point[1] - pivot[1], x * sin + z * cos)
    for side, _ in SIDES:
        shoulder, hip = at[f"{side}_front_shoulder"], at[f"{side}_hip"]
        drop = shoulder[2] - hip[2] + build.leg * 0.3
        at[f"{side}_front_elbow"] = shoulder + _at(-0.06, 0, -drop * 0.45)
        at[f"{side}_front_paw"] = shoulder + _at(0.03, 0, -drop)
        ground = at[f"{side}_front_paw"][2]
        at[f"{side}_knee"] = hip + _at(build.leg * 0.42, 0, build.leg * 0.02)
        at[f"{side}_hock"] = hip + _at(0.05, 0, ground - hip[2] + 0.05)
        at[f"{side}_back_paw"] = hip + _at(build.leg * 0.38, 0, ground - hip[2])


def seen(points: Mapping[str, Point], yaw: float, tilt: float) -> dict[str, Point]:
    """Return points as (right, down, depth) for one who looks at the animal; larger depth is farther.

    Args:
        points: in the animal's own axes.
        yaw: 0 shows its right side with the head to the right; counter-clockwise from above, in radians.
        tilt: how far the camera looks down, in radians.
    """
    cos, sin, c, s = np.cos(yaw), np.sin(yaw), np.cos(tilt), np.sin(tilt)
    found = {}
    for name, (x, y, z) in points.items():
        right, away = x * cos - y * sin, x * sin + y * cos
        found[name] = _at(right, -(z * c + away * s), away * c - z * s)
    return found


def _at(x: float, y: float, z: float) -> Point:
    return np.array([x, y, z], dtype=np.float64)


def _down(angle: float) -> Point:
    return _at(np.sin(angle), 0, -np.cos(angle))
