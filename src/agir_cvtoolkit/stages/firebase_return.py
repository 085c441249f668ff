"""``firebase return``: corrected poses from CVAT back into the store of captures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

from agir_cvtoolkit.config import Firebase, Settings
from agir_cvtoolkit.errors import DataError, UsageError
from agir_cvtoolkit.firebase import CaptureStore, open_store
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.pose_quality import Population

from ._call import Call
from ._return_cvat import CvatWork, Looks, finished_work
from ._return_frames import ReturnSource, export_source
from ._return_history import ReturnHistory
from ._return_names import CaptureNames, find_manifests
from ._return_population import labelled_population
from ._return_result import ReturnResult, TriggerMade
from ._return_write import Returned, Writer

__all__ = ["ReturnResult", "ReturnStep", "TriggerMade", "firebase_return"]


def firebase_return(
    call: Call | None = None,
    *,
    annotations: Path | None = None,
    task_ids: Sequence[int] = (),
    project_id: int | None = None,
    trigger_retraining: bool = False,
    manifest: Path | None = None,
    output_dir: Path | None = None,
    service_account: Path | None = None,
    looks: Looks | None = None,
) -> ReturnResult:
    """Write corrected poses to ``labeled_data``, and complete their captures.

    Frames become captures by the transfer's manifest, then by the name of the file. An animal's document has the id
    ``cvat_<capture id>_<creation time of the task>``, with ``_<n>`` behind it from the second animal on, so that the
    same annotations may be returned any number of times. Whatever cannot be taken is listed, and the rest goes on.

    Args:
        call: the common options.
        annotations: an export "CVAT for images 1.1", as XML or as CVAT's ZIP; without one, finished jobs are read
            straight from CVAT.
        task_ids: read these tasks.
        project_id: read this project; without ids and file the project ``firebase.cvat_project``.
        trigger_retraining: demand retraining when enough corrections wait for it.
        manifest: ``transfer_manifest.json``, or the folder that holds one.
        output_dir: of the transfer, where its manifest lies; None is ``firebase.output_dir``, and the folder of
            `annotations` is looked into as well.
        service_account: key file of the store.
        looks: of one who looks again and again: jobs that came back before are left out where they have not
            changed, those of this call are added, and the conversation with CVAT goes on. The project
            ``firebase.cvat_project`` may not be there yet.

    Raises:
        UsageError: options that exclude each other, or a named manifest that is not there.
        ConfigError: no credentials, or an unknown pose schema.
        DataError: the export is damaged or not to be trusted; nothing was written then.
        RemoteError: the store or CVAT fails; what was written stays, and the same call goes on from there.
    """
    call = call or Call()
    if annotations is not None and (task_ids or project_id is not None):
        raise UsageError(
            "--annotations and --task-id or --project-id exclude each other", "Choose the file or CVAT."
        )
    if annotations is not None and not annotations.is_file():
        raise UsageError(f"--annotations {annotations} is not there", "Export the task from CVAT first.")
    settings = call.settings()
    group = settings.firebase
    folders = [Path(output_dir or group.output_dir).expanduser()]
    if annotations is not None:
        folders.append(annotations.absolute().parent)
    names = CaptureNames.read(find_manifests(manifest, folders))
    work, source = _source(settings, annotations, task_ids, project_id, looks)
    with ExitStack() as opened:
        store = opened.enter_context(closing(open_store(group, service_account=service_account)))
        history = _history(settings, store, opened)
        result = _returned(
            call, group, store, source, names, work, history, trigger_retraining=trigger_retraining
        )
    if work is not None and looks is not None and not call.dry_run:
        work.came_back(looks.seen)
    return result


class ReturnStep:
    """One look of a watch: returns what jobs finished since the last one.

    Args:
        call: the common options.
        task_ids, project_id, trigger_retraining, manifest, output_dir, service_account: as of `firebase_return`.
    """

    def __init__(
        self,
        call: Call,
        *,
        task_ids: Sequence[int] = (),
        project_id: int | None = None,
        trigger_retraining: bool = False,
        manifest: Path | None = None,
        output_dir: Path | None = None,
        service_account: Path | None = None,
    ) -> None:
        self._call = call
        self._task_ids = tuple(task_ids)
        self._project_id = project_id
        self._trigger_retraining = trigger_retraining
        self._manifest = manifest
        self._output_dir = output_dir
        self._service_account = service_account
        self._looks = Looks()

    def __call__(self) -> ReturnResult:
        """Look once.

        Raises:
            AgirError: as `firebase_return`.
        """
        try:
            return firebase_return(
                self._call,
                task_ids=self._task_ids,
                project_id=self._project_id,
                trigger_retraining=self._trigger_retraining,
                manifest=self._manifest,
                output_dir=self._output_dir,
                service_account=self._service_account,
                looks=self._looks,
            )
        except BaseException:
            # The next look asks anew who and where the server is.
            self._looks.session = None
            raise


def _source(
    settings: Settings,
    annotations: Path | None,
    task_ids: Sequence[int],
    project_id: int | None,
    looks: Looks | None,
) -> tuple[CvatWork | None, ReturnSource]:
    if annotations is not None:
        return None, export_source(annotations)
    name = settings.firebase.cvat_project
    work = finished_work(settings, task_ids, project_id, name, looks)
    return work, work.source()


def _history(settings: Settings, store: CaptureStore, opened: ExitStack) -> ReturnHistory | None:
    """Open the workspace's ledger; a machine that only returns has none and gets none."""
    if not Ledger.is_there(settings.io.ledger_url, settings.io.out_root):
        return None
    ledger = opened.enter_context(Ledger.open(settings.io.ledger_url, settings.io.out_root))
    return ReturnHistory(ledger, store.place)


def _returned(
    call: Call,
    group: Firebase,
    store: CaptureStore,
    source: ReturnSource,
    names: CaptureNames,
    work: CvatWork | None,
    history: ReturnHistory | None,
    *,
    trigger_retraining: bool,
) -> ReturnResult:
    schema = load_schema(group.pose.joints)
    survey = source.survey()
    if work is None and not survey.frames:
        raise DataError(
            f"{source.name} holds no picture", "Export a task that has frames, as 'CVAT for images 1.1'."
        )
    # A look that finds no work does not read the store's corrections.
    population = (
        labelled_population(store, schema, survey.times, source.frames) if survey.frames else Population()
    )
    writer = Writer(
        store, schema, names, survey, population, group.image_path, history=history, dry_run=call.dry_run
    )
    with call.progress.bar("Returning pictures", survey.frames) as bar:
        writer.write(source.frames(), bar)
    found = writer.found
    found.items += source.failed()
    trigger, unreserved = None, None
    if trigger_retraining:
        trigger, unreserved = _trigger(store, group.retraining_threshold, found, dry_run=call.dry_run)
    return ReturnResult(
        source=source.name,
        store=store.place,
        schema=schema.name,
        manifests=tuple(str(path) for path in names.manifests),
        frames=found.frames,
        matched=found.matched,
        animals=found.animals,
        new=found.new,
        changed=found.changed,
        same=found.same,
        withdrawn=found.withdrawn,
        completed=found.completed,
        empty=tuple(found.empty),
        proposals=tuple(found.proposals),
        items=tuple(found.items),
        notices=tuple(found.notices),
        trigger=trigger,
        unreserved=unreserved,
        threshold=group.retraining_threshold,
        jobs=len(work.jobs) if work is not None else 0,
        waiting=work.waiting if work is not None else 0,
        unchanged=work.unchanged if work is not None else 0,
        dry_run=call.dry_run,
    )


def _trigger(
    store: CaptureStore, threshold: int, found: Returned, *, dry_run: bool
) -> tuple[TriggerMade | None, int]:
    """Reserve a trigger where enough corrections wait; return it, and how many wait still."""
    if dry_run:
        waiting = store.unreserved() + found.new + found.freed
        return (TriggerMade("", waiting, threshold), 0) if waiting >= threshold else (None, waiting)
    made = store.reserve_trigger(threshold, datetime.now(UTC))
    if made is None:
        return None, store.unreserved()
    return TriggerMade(made.trigger_id, made.count, made.threshold), store.unreserved()
