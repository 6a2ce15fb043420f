"""The one door through which every error of a magic goes: one line, and the rest on request."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NoReturn

from gptoss_magic.errors import GptOssError, errors_in, shown_error
from gptoss_magic.magics.options import HelpAsked
from gptoss_magic.session import current
from gptoss_magic.turns.stopping import WORK

if TYPE_CHECKING:
    from collections.abc import Callable


class Interrupt(KeyboardInterrupt):
    """■, shown as one line; front ends know it by the name of its base."""

    def _render_traceback_(self) -> list[str]:
        return ["KeyboardInterrupt"]


Interrupt.__name__ = KeyboardInterrupt.__name__


def through(name: str, action: Callable[..., Any], *arguments: Any) -> Any:
    """What `action` gives. `name` is shown as what is being done.

    An error leaves as one line of the tree of `errors`, with nothing chained to it: IPython prints
    some chains whole. The error as it was is kept for `%gptoss traceback`. ■ passes as it is, also
    out of a group; a program that wants to exit does not end the kernel. Help is printed.
    """
    with WORK.doing(name):
        try:
            return action(*arguments)
        except HelpAsked as asked:
            print(asked, end="")
            return None
        except BaseException as error:  # noqa: BLE001 (every one of them)
            kept = error
    if any(isinstance(one, KeyboardInterrupt) for one in errors_in(kept)):
        raise Interrupt
    keep(kept)
    _leave(shown_error(kept))


def in_background(name: str, action: Callable[..., Any], *arguments: Any) -> threading.Thread:
    """The same in a thread of its own: its error is one printed line, and kept as well."""

    def work() -> None:
        try:
            action(*arguments)
        except BaseException as error:  # noqa: BLE001 (every one of them)
            keep(error)
            print(f"{name}: {shown_error(error)}; %gptoss traceback shows where")

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


def keep(error: BaseException) -> None:
    """Let `%gptoss traceback` show this one."""
    current().last_error = error


def _leave(error: GptOssError) -> NoReturn:
    try:
        raise error
    finally:  # a line that runs within an `except` is given that error as its context
        error.__cause__ = error.__context__ = None
