"""Frames to compare with: which are chosen, ground-truth jobs, and the layout of hidden frames (honeypots)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from .answers import PageRefusal, Refusal, not_found, reply, required
from .calls import Call
from .jobs import add_job, job_view
from .media import frames_of
from .store import Json, Store, now
from .tasks import frames_in, jobs_of, kind_of, touch_jobs

METHODS = ("random_uniform", "random_per_job", "manual")
MODES = ("gt", "gt_pool")


def checked_params(fields: Json) -> Json | None:
    """Check the ``validation_params`` of a new task; whether its order fits is found later, by the worker.

    Raises:
        Refusal: 400.
    """
    params = fields.get("validation_params")
    if not params:
        return None
    if not isinstance(params, dict):
        raise Refusal(400, {"validation_params": ["Invalid data. Expected a dictionary."]})
    for key, allowed in (("mode", MODES), ("frame_selection_method", METHODS)):
        if key not in params:
            raise Refusal(400, {"validation_params": {key: ["This field is required."]}})
        if params[key] not in allowed:
            raise Refusal(400, {"validation_params": {key: [f'"{params[key]}" is not a valid choice.']}})
    if params["mode"] == "gt_pool":
        if params["frame_selection_method"] == "random_per_job":
            raise Refusal(
                400, ['validation mode "gt_pool" cannot be used with "random_per_job" frame selection method']
            )
        if not params.get("frames_per_job_count") and not params.get("frames_per_job_share"):
            raise Refusal(400, ['validation mode "gt_pool" must specify frames_per_job_count or share'])
    _check_amount(params)
    return params


def chosen_frames(
    params: Mapping[str, Any], names: Sequence[str], jobs: Sequence[Sequence[int]]
) -> list[int]:
    """Return the frames that a selection takes, in order.

    Args:
        params: ``frame_selection_method`` with its amounts; ``frames`` by name or number.
        names: of all frames.
        jobs: the frames of each job.

    Raises:
        ValueError: a named frame is not there.
    """
    method, draw = params["frame_selection_method"], random.Random(params.get("random_seed"))
    if method == "manual":
        places = {name: number for number, name in enumerate(names)}
        found = [places.get(frame, frame) for frame in params["frames"]]
        wrong = [frame for frame in found if not isinstance(frame, int) or not 0 <= frame < len(names)]
        if wrong:
            text = ", ".join(map(str, wrong))
            raise ValueError(f"The following frames do not exist in the task: {text}")
        return sorted(set(found))
    if method == "random_uniform":
        count = _amount(params, "frame_count", "frame_share", len(names))
        return sorted(draw.sample(range(len(names)), count))
    taken: set[int] = set()
    for frames in jobs:
        free = [frame for frame in frames if frame not in taken]
        taken |= set(draw.sample(free, min(len(free), _per_job(params, len(frames)))))
    return sorted(taken)


def with_honeypots(
    frames: Sequence[Json], params: Mapping[str, Any], segment_size: int
) -> tuple[list[Json], list[range], list[int]]:
    """Arrange the frames of a task with a pool: jobs with hidden pool frames among theirs, the pool behind.

    Returns:
        The frames, of which a hidden one names the pool frame that it shows as ``real``; the range of frames
        of each job; the frames of the pool.

    Raises:
        ValueError: a named frame is not there, or the pool would take all.
    """
    draw = random.Random(params.get("random_seed"))
    pool = chosen_frames(params, [frame["name"] for frame in frames], [])
    rest = [frame for number, frame in enumerate(frames) if number not in set(pool)]
    if not rest:
        raise ValueError("The validation pool cannot take all frames")
    length = segment_size or len(rest)
    placed: list[Json] = []
    ranges = []
    for start in range(0, len(rest), length):
        own = list(rest[start : start + length])
        hidden = draw.sample(range(len(pool)), min(len(pool), _per_job(params, len(own))))
        own += [frames[pool[i]] | {"pool": i} for i in hidden]
        draw.shuffle(own)
        ranges.append(range(len(placed), len(placed) + len(own)))
        placed += own
    first = len(placed)
    for frame in placed:
        if "pool" in frame:
            frame["real"] = first + frame.pop("pool")
    return placed + [frames[number] for number in pool], ranges, list(range(first, first + len(pool)))


def create_job(call: Call) -> Response:
    """Answer ``POST /api/jobs``: only a ground-truth job can be made by hand, one for each task."""
    spec = call.json_object()
    for key in ("type", "task_id"):
        if key not in spec:
            raise required(key)
    if spec["type"] not in call.generation.job_types:
        raise Refusal(400, {"type": [f'"{spec["type"]}" is not a valid choice.']})
    if spec["type"] != "ground_truth":
        raise Refusal(400, [f"Unexpected job type '{spec['type']}'"])
    method = spec.get("frame_selection_method")
    if method not in METHODS or (method == "random_per_job" and not call.generation.validation):
        text = "This field is required." if method is None else f'"{method}" is not a valid choice.'
        raise Refusal(400, {"frame_selection_method": [text]})
    _check_amount(spec)
    store = call.store
    with store.transaction():
        task = store.get("task", spec["task_id"]) if isinstance(spec["task_id"], int) else None
        if task is None:
            raise not_found("Task")
        if task["data"] is None:
            raise Refusal(
                400, ["This task does not have data attached yet. Please set up task data and try again"]
            )
        jobs = jobs_of(store, task["id"])
        if any(kind_of(job) == "ground_truth" for job in jobs):
            mode = task["data"]["validation_mode"]
            text = f'Task with validation mode "{mode}" cannot have more than 1 GT job'
            raise Refusal(400, [text])
        names = [frame["name"] for frame in frames_of(store, task["id"])]
        try:
            frames = chosen_frames(spec, names, [frames_in(j) for j in jobs if kind_of(j) == "annotation"])
        except ValueError as error:
            raise Refusal(400, [str(error)]) from error
        job = add_ground_truth(store, task, frames)
        store.put("task", task["id"], task)
    return reply(job_view(call, job), 201)


def add_ground_truth(store: Store, task: Json, frames: Sequence[int], mode: str = "gt") -> Json:
    """Write the ground-truth job of a task, and the mode into the task's document."""
    task["data"] |= {"validation_mode": mode, "disabled_frames": []}
    first, last = (0, int(task["data"]["size"]) - 1) if mode == "gt" else (frames[0], frames[-1])
    return add_job(store, task["id"], first, last, now(), kind="ground_truth", frames=frames)


def show_task_layout(call: Call) -> Response:
    """Answer ``GET /api/tasks/ID/validation_layout``."""
    task = _known_task(call)
    return reply(_task_layout(call.store, task))


def patch_task_layout(call: Call) -> Response:
    """Answer ``PATCH /api/tasks/ID/validation_layout``: frames that do not count, or other hidden frames."""
    spec = call.json_object()
    store = call.store
    with store.transaction():
        task = _known_task(call)
        mode = (task["data"] or {}).get("validation_mode")
        if mode is None:
            raise Refusal(400, ["Validation is not configured in the task"])
        pool = _pool(store, task)
        if "disabled_frames" in spec:
            if not set(spec["disabled_frames"]) <= set(pool):
                raise Refusal(400, ["Unknown validation frames."])
            task["data"]["disabled_frames"] = sorted(set(spec["disabled_frames"]))
        if "frame_selection_method" in spec:
            if mode != "gt_pool":
                raise Refusal(400, ["Honeypots can only be changed in tasks with a validation pool"])
            _reshuffle(store, task, spec, pool)
        store.put("task", task["id"], task)
    return reply(_task_layout(store, task))


def show_job_layout(call: Call) -> Response:
    """Answer ``GET /api/jobs/ID/validation_layout``."""
    job = call.load("job")
    if not call.generation.validation:
        raise PageRefusal(404)
    task = call.store.get("task", job["task_id"])
    if task is None or (task["data"] or {}).get("validation_mode") != "gt_pool":
        return reply({})
    frames = frames_of(call.store, job["task_id"])
    hidden = [number for number in frames_in(job) if "real" in frames[number]]
    return reply(_hidden(frames, hidden))


def _known_task(call: Call) -> Json:
    if not call.generation.validation:
        raise PageRefusal(404)
    return call.load("task")


def _task_layout(store: Store, task: Json) -> Json:
    data = task["data"] or {}
    mode = data.get("validation_mode")
    layout: Json = {"mode": mode, "frames_per_job_count": data.get("frames_per_job_count")}
    if mode is None:
        return layout
    layout |= {
        "validation_frames": _pool(store, task),
        "disabled_frames": data.get("disabled_frames", []),
    }
    if mode == "gt":
        return layout
    frames = frames_of(store, task["id"])
    hidden = [number for number, frame in enumerate(frames) if "real" in frame]
    return layout | _hidden(frames, hidden)


def _hidden(frames: Sequence[Json], hidden: Sequence[int]) -> Json:
    return {
        "honeypot_count": len(hidden),
        "honeypot_frames": list(hidden),
        "honeypot_real_frames": [frames[number]["real"] for number in hidden],
    }


def _pool(store: Store, task: Json) -> list[int]:
    jobs = jobs_of(store, task["id"])
    return next((list(frames_in(job)) for job in jobs if kind_of(job) == "ground_truth"), [])


def _reshuffle(store: Store, task: Json, spec: Json, pool: list[int]) -> None:
    frames = frames_of(store, task["id"])
    hidden = [number for number, frame in enumerate(frames) if "real" in frame]
    wanted = spec.get("honeypot_real_frames")
    if spec["frame_selection_method"] != "manual":
        free = [number for number in pool if number not in set(task["data"]["disabled_frames"])]
        wanted = [random.choice(free or pool) for _ in hidden]
    if not isinstance(wanted, list) or len(wanted) != len(hidden) or not set(wanted) <= set(pool):
        raise Refusal(400, ["honeypot_real_frames must name a validation frame for each honeypot"])
    for number, real in zip(hidden, wanted, strict=True):
        frames[number] = frames[real] | {"real": real}
    store.put("frames", task["id"], {"frames": frames})
    touch_jobs(store, task["id"])


def _check_amount(params: Mapping[str, Any]) -> None:
    method = params["frame_selection_method"]
    needed = {
        "random_uniform": ("frame_count", "frame_share"),
        "random_per_job": ("frames_per_job_count", "frames_per_job_share"),
        "manual": ("frames",),
    }[method]
    if not any(params.get(key) for key in needed):
        names = " or ".join(f'"{name}"' for name in needed)
        raise Refusal(400, {"non_field_errors": [f"The {names} field is required"]})


def _amount(params: Mapping[str, Any], count: str, share: str, total: int) -> int:
    found = int(params.get(count) or 0) or round(float(params.get(share) or 0) * total)
    return max(1, min(total, found))


def _per_job(params: Mapping[str, Any], size: int) -> int:
    return _amount(params, "frames_per_job_count", "frames_per_job_share", max(1, size))
