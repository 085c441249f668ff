"""``webhook add|list|remove``: have CVAT say when a job is completed."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from agir_cvtoolkit.config import Settings, made_webhook_secret
from agir_cvtoolkit.cvat.webhooks import (
    WebhookInfo,
    change_webhook,
    create_webhook,
    list_webhooks,
    ping_webhook,
    remove_webhook,
)
from agir_cvtoolkit.errors import NotFoundError, ServerFaultError, UsageError

from ._call import Call
from ._connect import Target, connect

__all__ = [
    "WebhookAdded",
    "WebhookInfo",
    "WebhooksListed",
    "WebhooksRemoved",
    "webhook_add",
    "webhook_list",
    "webhook_remove",
]

_DESCRIPTION = "agir-cvtoolkit"
_ANSWERED = range(200, 300)


@dataclass(frozen=True)
class WebhookAdded:
    """What ``webhook add`` did, or in a dry run would do.

    Attributes:
        webhook: as the server has it; None in a dry run.
        changed: whether there was one for this address already, which now has this secret and these events.
        answered: HTTP status that CVAT got when it tried the address; 502 and 504 stand for no answer; None where
            it was not tried.
    """

    server: str
    project_id: int
    target_url: str
    webhook: WebhookInfo | None
    changed: bool
    answered: int | None
    dry_run: bool = False

    @property
    def reached(self) -> bool:
        """Whether CVAT can call the address, and who answers there knows the secret."""
        return self.answered in _ANSWERED

    @property
    def exit_code(self) -> int:
        """0, or 1 where the address was tried and did not answer well."""
        return 0 if self.answered is None or self.reached else 1


@dataclass(frozen=True)
class WebhooksListed:
    """What ``webhook list`` found, oldest first."""

    server: str
    project_id: int | None
    webhooks: tuple[WebhookInfo, ...]


@dataclass(frozen=True)
class WebhooksRemoved:
    """What ``webhook remove`` removed, or in a dry run would remove."""

    server: str
    webhooks: tuple[WebhookInfo, ...]
    dry_run: bool = False


def webhook_add(
    target_url: str, call: Call | None = None, *, project_id: int | None = None, ping: bool = True
) -> WebhookAdded:
    """Have CVAT call an address when a job of a project is completed or reopened, and try it.

    Added again for the same address, the webhook that there is gets this secret and these events. The secret is
    that of CVAT_WEBHOOK_SECRET or of the file ``webhook_secret`` beside the keys, which is made when it is missing.

    Args:
        target_url: where ``download-cvat --watch --listen`` is reached from the server.
        call: the common options.
        project_id: None takes ``cvat_download.project_id``, then ``cvat_upload.project_id``.
        ping: have CVAT call it once.

    Raises:
        UsageError: no project is known, or the address is none.
        RefusedError: the server does not take it.
    """
    call = call or Call()
    settings = call.settings()
    _check_address(target_url)
    chosen = _project(settings, project_id)
    target = _connected(call, settings, chosen)
    known = [one for one in list_webhooks(target.session, chosen) if one.target_url == target_url]
    if call.dry_run:
        return WebhookAdded(target.session.url, chosen, target_url, None, bool(known), None, dry_run=True)
    secret = made_webhook_secret(settings.io.keys_file)
    webhook = (
        change_webhook(target.session, known[0].id, target_url, secret, description=_DESCRIPTION)
        if known
        else create_webhook(target.session, chosen, target_url, secret, description=_DESCRIPTION)
    )
    answered = _tried(target, webhook.id) if ping else None
    return WebhookAdded(target.session.url, chosen, target_url, webhook, bool(known), answered)


def webhook_list(call: Call | None = None, *, project_id: int | None = None) -> WebhooksListed:
    """List the webhooks of a project; without one all that the account sees."""
    call = call or Call()
    settings = call.settings()
    chosen = _known_project(settings, project_id)
    target = connect(settings, "cvat_download", chosen)
    return WebhooksListed(target.session.url, chosen, list_webhooks(target.session, chosen))


def webhook_remove(
    which: int | str, call: Call | None = None, *, project_id: int | None = None
) -> WebhooksRemoved:
    """Remove a webhook.

    Args:
        which: its number, or the address that it calls.
        call: the common options.
        project_id: of the webhook; None as for `webhook_add`.

    Raises:
        NotFoundError: there is none.
    """
    call = call or Call()
    settings = call.settings()
    chosen = _known_project(settings, project_id)
    target = _connected(call, settings, chosen)
    listed = list_webhooks(target.session, chosen)
    found = tuple(one for one in listed if which in (one.id, one.target_url))
    if not found:
        there = ", ".join(f"{one.id} ({one.target_url})" for one in listed) or "none"
        raise NotFoundError(f"there is no webhook '{which}' on {target.session.url}", f"There are: {there}.")
    if not call.dry_run:
        for one in found:
            remove_webhook(target.session, one.id)
    return WebhooksRemoved(target.session.url, found, dry_run=call.dry_run)


def receiver_secret(call: Call) -> str:
    """Return the secret that deliveries must be signed with, which is made when it is missing.

    Raises:
        ConfigError: the one that there is cannot be used, or none can be written.
    """
    return made_webhook_secret(call.settings().io.keys_file)


def _tried(target: Target, webhook_id: int) -> int:
    try:
        return ping_webhook(target.session, webhook_id)
    except ServerFaultError as error:
        # The webhook is there all the same.
        return error.status or 500


def _connected(call: Call, settings: Settings, project_id: int | None) -> Target:
    return connect(settings, "cvat_download", project_id, writes=None if call.dry_run else "webhook")


def _known_project(settings: Settings, given: int | None) -> int | None:
    return given or settings.cvat_download.project_id or settings.cvat_upload.project_id


def _project(settings: Settings, given: int | None) -> int:
    found = _known_project(settings, given)
    if found is None:
        raise UsageError(
            "no project is named whose jobs are to be heard of",
            "Give --project-id, or set cvat_download.project_id.",
        )
    return found


def _check_address(text: str) -> None:
    try:
        parts = urlsplit(text)
        right = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None
    except ValueError:
        right = False
    if not right:
        raise UsageError(
            f"'{text}' is no address that CVAT could call", "Give it as http://HOST:PORT/ or https://HOST/."
        )
