"""``plan``: what some hours of people's work bring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agir_cvtoolkit.errors import UsageError

from ._call import Call
from ._interval import counted
from ._learning_curve import Curve, CurvePoint, Forecast
from ._report_data import ReportData, Scope, gather
from .effort import FEWEST_JOBS, Pace

_MOST_LABELS = 1_000_000


@dataclass(frozen=True)
class Plan:
    """What some hours bring.

    Attributes:
        hours: of people's work.
        pace: seconds for a picture.
        pictures: that these hours suffice for.
        pictures_low, pictures_high: by the interval of the pace; None where it has none.
        left: predicted pictures that are with nobody yet and were not labelled.
        labels: pictures that the newest model learned from.
        quality: of that model on the test pictures; None where none was tested.
        figure: name of the quality, such as ``IoU``; empty where none was tested.
        forecast: what the learning curve expects of `batch`; None where it has too few points.
        target: quality that was asked for; None for none.
        target_labels: labels in all at which the curve expects it; None where it never does, or there is no curve.
        verdict: all this in words.
        cautions: why it may be otherwise, in words.
    """

    hours: float
    pace: Pace
    pictures: int
    pictures_low: int | None
    pictures_high: int | None
    left: int
    labels: int
    quality: float | None
    figure: str
    forecast: Forecast | None
    target: float | None
    target_labels: int | None
    verdict: str
    cautions: tuple[str, ...] = ()

    @property
    def batch(self) -> int:
        """Pictures of a batch for these hours: no more than the pool has left, where it has any."""
        return min(self.pictures, self.left) if self.left else self.pictures


def plan(
    hours: float, target: float | None = None, loop: str | None = None, call: Call | None = None
) -> Plan:
    """Say how large a batch some hours of people's work suffice for, and what it would bring.

    Seconds for a picture are measured from the jobs that came back (`agir_cvtoolkit.stages.effort`); the quality is
    read off a power law through the models that were tested so far.

    Args:
        hours: of people's work, all people together.
        target: a quality in (0, 1) that is wanted.
        loop: plan by this loop alone; None takes the whole workspace.
        call: options of every command; a run narrows to it.

    Raises:
        UsageError: hours or target make no sense, or there is no such loop.
    """
    call = call or Call()
    if not 0 < hours < 1e6:
        raise UsageError(
            f"--hours {hours:g} is nothing to plan with", "Give hours above 0, such as --hours 6."
        )
    if target is not None and not 0 < target < 1:
        raise UsageError(
            f"--target {target:g} is no quality", "Give one between 0 and 1, such as --target 0.85."
        )
    return planned(gather(call.settings(), Scope(loop, call.run)), hours, target)


def planned(data: ReportData, hours: float, target: float | None = None) -> Plan:
    """Return the plan for some hours from what a report is made of."""
    pace, seconds = data.effort.pace, 3600 * hours
    pictures = max(1, int(seconds / pace.seconds))
    left = data.left
    batch = min(pictures, left) if left else pictures
    low = None if pace.high is None else int(seconds / pace.high)
    high = None if pace.low is None else int(seconds / pace.low)
    newest = data.points[-1] if data.points else None
    labels = newest.labels if newest is not None else data.labelled
    figure = next((one.figure for one in reversed(list(data.evaluations.values()))), "")
    forecast = data.curve.at(data.curve.newest + batch) if data.curve is not None else None
    wanted = (
        data.curve.labels_for(target, _MOST_LABELS) if data.curve is not None and target is not None else None
    )
    verdict = _verdict(data.curve, data.points, forecast, figure)
    if target is not None and data.curve is not None:
        verdict = f"{verdict} {_of_target(target, wanted, data.curve, pace)}"
    return Plan(
        hours=hours,
        pace=pace,
        pictures=pictures,
        pictures_low=low,
        pictures_high=high,
        left=left,
        labels=labels,
        quality=newest.quality if newest is not None else None,
        figure=figure,
        forecast=forecast,
        target=target,
        target_labels=wanted,
        verdict=verdict,
        cautions=tuple(_cautions(pace, pictures, left)),
    )


def _cautions(pace: Pace, pictures: int, left: int) -> Iterator[str]:
    if pace.is_measured and pace.jobs < FEWEST_JOBS:
        yield (
            f"The seconds are those of {counted(pace.jobs, 'job')}, too few for an interval: others may take far longer,"
            " or far shorter."
        )
    if not left:
        yield "No predicted picture is left that nobody has: predict more before you choose a batch."
    elif left < pictures:
        yield f"The pool has {counted(left, 'picture')} left: predict more before you plan with more."


def _verdict(
    curve: Curve | None, points: tuple[CurvePoint, ...], forecast: Forecast | None, figure: str
) -> str:
    if curve is None or forecast is None:
        count = len({point.labels for point in points})
        return (
            f"Too few points to tell what they bring: {count} tested models with different numbers of labels,"
            " at least 3 are needed."
        )
    if not forecast.is_told:
        return (
            f"No gain can be told from chance: {figure} changes by something between {forecast.gain_low:+.3f} and"
            f" {forecast.gain_high:+.3f}."
        )
    return f"Expected: {forecast.gain_low:+.3f} to {forecast.gain_high:+.3f} {figure}, if the curve goes on as it did."


def _of_target(target: float, labels: int | None, curve: Curve, pace: Pace) -> str:
    if labels is None:
        return f"The curve never reaches {target:g}."
    if labels <= curve.newest:
        return f"The curve says that {target:g} is reached already."
    hours = (labels - curve.newest) * pace.seconds / 3600
    return (
        f"The curve reaches {target:g} at {labels:,} labelled pictures, after about {hours:,.1f} more hours; how far it"
        " goes on like that is uncertain."
    )
