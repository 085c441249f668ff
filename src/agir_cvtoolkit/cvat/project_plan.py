"""What it takes to make a project of the server what a project file says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from agir_cvtoolkit.errors import RefusedError

from .labels import LabelSet, LabelSpec
from .project_difference import Difference, Entry, difference
from .project_names import in_safe_order, match_names
from .project_spec import WantedLabel, WantedProject
from .project_uses import LabelUse, Uses
from .projects import ProjectInfo

StepKind = Literal["create", "add", "rename", "change", "recreate", "remove", "keep", "refuse"]
UsesOf = Callable[[frozenset[int]], Uses]

_NEW_LABEL = "Make a new label in the file, and move the shapes to it in CVAT; or delete them there first."
_KEPT = "CVAT draws new skeletons as before: it cannot redraw a label that has shapes."


@dataclass(frozen=True)
class Step:
    """One thing that would be done, left as it is, or is refused.

    Attributes:
        what: the project or label.
        detail: how.
        next_step: of something refused or left, what can be done about it.
        where: of a label of the file, the file and line.
    """

    kind: StepKind
    what: str
    detail: str = ""
    next_step: str = ""
    where: str = ""


@dataclass(frozen=True)
class ProjectPlan:
    """What would be done.

    Attributes:
        project: None where it has to be made.
        steps: in the order of the file, the project itself first.
        request: body of the one change of the project; empty where nothing changes.
        uses: what was counted; None where nothing had to be.
    """

    project: ProjectInfo | None
    steps: tuple[Step, ...]
    request: Entry
    uses: Uses | None = None

    @property
    def refused(self) -> tuple[Step, ...]:
        """What cannot be done."""
        return tuple(step for step in self.steps if step.kind == "refuse")

    @property
    def is_done(self) -> bool:
        """Nothing has to be done."""
        return all(step.kind == "keep" for step in self.steps)


def plan_project(
    wanted: WantedProject, project: ProjectInfo | None, labels: LabelSet, uses_of: UsesOf
) -> ProjectPlan:
    """Compare a project file with the server.

    Args:
        wanted: what the file says.
        project: of the server; None where there is none yet.
        labels: of that project.
        uses_of: counts what is drawn with some labels; asked only where something depends on it, once.
    """
    if project is None:
        steps = [Step("create", f"project '{wanted.name}'")]
        steps += [_added(label, wanted) for label in wanted.labels]
        return ProjectPlan(None, tuple(steps), {})
    return _Planner(wanted, project, labels).plan(uses_of)


class _Planner:
    def __init__(self, wanted: WantedProject, project: ProjectInfo, labels: LabelSet) -> None:
        self._wanted = wanted
        self._project = project
        self._by_name = {label.name: label for label in wanted.labels}
        self._there = {label.name: label for label in labels}
        self._matched = match_names([(label.name, label.was) for label in wanted.labels], list(self._there))
        self._differences = {
            name: difference(self._by_name[name], self._there[old])
            for name, old in self._matched.pairs.items()
        }

    def plan(self, uses_of: UsesOf) -> ProjectPlan:
        removed = () if self._wanted.keeps_others else self._matched.left
        asked = {self._there[name].id for name in removed}
        asked |= {
            self._there[self._matched.pairs[name]].id
            for name, found in self._differences.items()
            if found.depends_on_use
        }
        uses = uses_of(frozenset(asked)) if asked else None
        use_of = uses.by_label if uses is not None else {}
        steps, request = self._project_steps()
        renames: dict[str, list[Entry]] = {}
        first: list[Entry] = []
        last: list[Entry] = []
        for label in self._wanted.labels:
            if label.name not in self._differences:
                steps.append(_added(label, self._wanted))
                last.append(label.as_request())
                continue
            there = self._there[self._matched.pairs[label.name]]
            found = self._differences[label.name]
            use = use_of.get(there.id, LabelUse())
            if (found.rebuilds or found.redraws) and not use.count:
                first.append(_deleted(there))
                last.append(replace(label, color=label.color or there.color or None).as_request())
            elif found.entries:
                renames[label.name] = found.entries
            steps += self._label_steps(label, there, found, use)
        for name in removed:
            step = self._removal(self._there[name], use_of[self._there[name].id])
            steps.append(step)
            if step.kind == "remove":
                first.append(_deleted(self._there[name]))
        pairs = [(name, self._matched.pairs[name]) for name in renames]
        entries = first + [entry for name, _ in in_safe_order(pairs) for entry in renames[name]] + last
        if entries:
            request = {**request, "labels": entries}
        return ProjectPlan(self._project, tuple(steps), request, uses)

    def _project_steps(self) -> tuple[list[Step], Entry]:
        steps: list[Step] = []
        request: dict[str, object] = {}
        what = f"project '{self._project.name}'"
        if self._wanted.name != self._project.name:
            steps.append(Step("rename", what, f"to '{self._wanted.name}'"))
            request["name"] = self._wanted.name
        tracker = self._wanted.bug_tracker
        if tracker is not None and tracker != self._project.bug_tracker:
            before, after = self._project.bug_tracker or "none", tracker or "none"
            steps.append(Step("change", what, f"bug tracker {before} to {after}"))
            request["bug_tracker"] = tracker
        return steps, request

    def _label_steps(
        self, wanted: WantedLabel, there: LabelSpec, found: Difference, use: LabelUse
    ) -> list[Step]:
        what = f"label '{there.name}'"
        where = self._wanted.lines.get(wanted.name, "")
        refusals = found.refusals(use)
        if refusals:
            detail = f"{'; '.join(refusals)}. It has {use.told}"
            return [Step("refuse", what, detail, _way_out(wanted, found), where)]
        steps = []
        if (found.rebuilds or found.redraws) and not use.count:
            changes = [*found.rebuilds, *(["drawn anew"] if found.redraws else []), *found.said]
            return [Step("recreate", what, f"{'; '.join(changes)}; nothing is drawn with it", where=where)]
        if found.said:
            renamed = wanted.name != there.name
            detail = f"to '{wanted.name}', with all its shapes" if renamed else "; ".join(found.said)
            rest = found.said[1:] if renamed else []
            detail = "; ".join([detail, *rest])
            steps.append(Step("rename" if renamed else "change", what, detail, where=where))
        if found.redraws:
            detail = f"its skeleton stays drawn as it is. It has {use.told}"
            steps.append(Step("keep", what, detail, _KEPT, where))
        return steps

    def _removal(self, label: LabelSpec, use: LabelUse) -> Step:
        what = f"label '{label.name}'"
        if not use.count:
            return Step("remove", what, "nothing is drawn with it")
        becomes = next((name for name, was in self._matched.both if was == label.name), None)
        if becomes is not None:
            detail = f"it should become '{becomes}', which is there already. It has {use.told}"
            return Step("refuse", what, detail, f"Give its shapes the label '{becomes}' in CVAT.")
        next_step = "Add it to the file, say other_labels: keep, or delete its shapes in CVAT first."
        return Step("refuse", what, f"it is not in the file, and has {use.told}", next_step)


def check_plan(plan: ProjectPlan) -> None:
    """Refuse a plan of which anything is refused.

    Raises:
        RefusedError: names what, and the way out.
    """
    if plan.refused:
        step = plan.refused[0]
        more = f" ({len(plan.refused) - 1} more)" if len(plan.refused) > 1 else ""
        raise RefusedError(f"{step.what}: {step.detail}{more}", step.next_step)


def _added(label: WantedLabel, wanted: WantedProject) -> Step:
    kind = f"{label.type}, {len(label.points)} points" if label.points else label.type
    parts = [kind, *([label.color] if label.color else [])]
    if label.attributes:
        parts.append(f"attributes {', '.join(attribute.name for attribute in label.attributes)}")
    return Step("add", f"label '{label.name}'", "; ".join(parts), where=wanted.lines.get(label.name, ""))


def _deleted(label: LabelSpec) -> Entry:
    return {"id": label.id, "name": label.name, "deleted": True}


def _way_out(wanted: WantedLabel, found: Difference) -> str:
    if found.needs_kind is not None and not found.rebuilds:
        return f"Leave its type, say type: any, or make a second label of type {wanted.type}."
    if any(text.startswith("attribute") for text in found.rebuilds):
        return "CVAT cannot remove an attribute: leave it in the file, or rename it (was:)."
    if found.limits and not found.rebuilds:
        return "Keep these values, or change them in CVAT first (lint-cvat lists where they are)."
    return _NEW_LABEL
