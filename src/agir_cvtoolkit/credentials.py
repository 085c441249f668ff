"""Who speaks to which server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from agir_cvtoolkit.errors import ConfigError


@dataclass(frozen=True)
class Credentials:
    """Address of a CVAT server and the account to use there; secrets never show in its text form.

    Attributes:
        url: such as ``https://app.cvat.ai``; ``host`` alone is read as ``https://host``.
        username, password: for servers without personal access tokens.
        access_token: a personal access token (CVAT 2.48 or newer); wins over the password.
        origin: where they come from, for messages.
        ca_file: certificates (PEM) of further authorities, for a server whose certificate a public one did not
            sign; None for none.
    """

    url: str
    username: str | None = None
    password: str | None = None
    access_token: str | None = None
    origin: str = ""
    ca_file: Path | None = None

    def __repr__(self) -> str:
        shown = [f"url={self.base_url!r}", f"username={self.username!r}"]
        shown += [f"{name}='***'" for name in ("password", "access_token") if getattr(self, name)]
        return f"Credentials({', '.join(shown)})"

    @property
    def base_url(self) -> str:
        """The address with scheme, without user, trailing slash, query and ``/api``.

        Raises:
            ConfigError: it is no http or https address.
        """
        text = self.url.strip()
        if "://" not in text:
            text = f"https://{text}"
        try:
            parts = urlsplit(text)
            port = f":{parts.port}" if parts.port is not None else ""
        except ValueError:
            parts, port = urlsplit(""), ""
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(
                f"'{text.rpartition('@')[2]}' is not the address of a CVAT server",
                "Set cvat.url in .keys/default.yaml (or CVAT_URL) to something like https://app.cvat.ai.",
            )
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        path = parts.path.rstrip("/").removesuffix("/api")
        return f"{parts.scheme}://{host}{port}{path}"
