"""Where a server is, and the token that goes there and nowhere else."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import one_line

ROUTES = re.compile(
    r"/(?:v1/)?(?:chat/completions|completions?|responses|models|generate)/?$"
    r"|/api/(?:chat|generate|tags)/?$|/(?:v1|api)/?$|/$"
)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class ServerAddress:
    """A server at `url`; `token_env` names the environment variable that holds its token.

    A route that clients are often given (`/v1`, `/v1/chat/completions`, …) is left out of the URL.
    Raises InputError for what is no http or https URL, and where a token would be readable on the
    way: it goes over https, or stays on this machine.
    """

    url: str
    token_env: str = ""

    def __post_init__(self) -> None:
        parts = self._parts
        if parts.username is not None or parts.password is not None:
            raise InputError(
                "connect: no user or password in a URL; --token-env names the variable of a token"
            )
        if self.token_env and not VARIABLE.fullmatch(self.token_env):  # it may be the token itself
            raise InputError("--token-env: give an environment variable's name, not its value")
        if self.token_env and not self.is_tls and not self.is_local:
            raise InputError(
                f"connect {self.root}: over http a token can be read on the way; give https"
            )

    @cached_property
    def _parts(self) -> SplitResult:
        try:
            parts = urlsplit(self.url)
            is_good = parts.scheme in ("http", "https") and bool(parts.hostname)
            is_good = is_good and parts.port != 0 and not parts.query and not parts.fragment
        except ValueError:
            is_good = False
        if not is_good or not self.url.isprintable() or " " in self.url or "\\" in self.url:
            shown = one_line(self.url.rpartition("@")[2], 200)
            raise InputError(f"connect {shown!r}: give an http or https URL, as http://HOST:PORT")
        return parts

    @property
    def is_tls(self) -> bool:
        return self._parts.scheme == "https"

    @property
    def host(self) -> str:
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        return self._parts.port or (443 if self.is_tls else 80)

    @cached_property
    def prefix(self) -> str:
        """The path before every route: '' for most servers."""
        path, before = self._parts.path, None
        while path != before:
            before, path = path, ROUTES.sub("", path)
        return path

    @cached_property
    def root(self) -> str:
        """The server's URL without a route; what is shown."""
        return f"{self._parts.scheme}://{self._parts.netloc.rpartition('@')[2]}{self.prefix}"

    @property
    def is_local(self) -> bool:
        """True where it is on this machine, by its name."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False

    def token(self) -> str:
        """The variable's value as it is now, in no message; '' where none was named."""
        if not self.token_env:
            return ""
        value = os.environ.get(self.token_env, "").strip()
        if not value:
            raise InputError(
                f"--token-env {self.token_env}: there is no such environment variable, or it is "
                "empty"
            )
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise InputError(f"--token-env {self.token_env}: what it holds cannot be a token")
        return value
