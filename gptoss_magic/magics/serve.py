"""`%gptoss serve`: the resident model for others on this machine; stop, log."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.checks import check_nothing
from gptoss_magic.magics.lab import show_served
from gptoss_magic.records.served import ServedRow
from gptoss_magic.vocabulary import check_known
from gptoss_magic.widgets.transcript import in_kernel

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from gptoss_magic.records import Answer, Message
    from gptoss_magic.serving.ledger import Served
    from gptoss_magic.serving.server import Service

OPTIONS: list[opt.Option] = [
    (("words",), {"nargs": "*", "help": "stop; log [ID]: the requests so far, the newest first"}),
    (("-p", "--port"), {"type": int, "default": 0, "help": "0: a free one"}),
    (
        ("-b", "--background"),
        {"action": "store_true", "help": "the cell ends, the serving goes on"},
    ),
    (("-n", "--num"), {"type": int, "default": 20, "help": "log: so many requests at most"}),
    (("-o", "--output"), {"help": "log: put the answer of ID (or the last) into this variable"}),
]
PARSER = opt.parser(
    "%gptoss serve",
    OPTIONS,
    "Serve the resident model on this machine.",
    ["%gptoss serve --background", "%gptoss serve log", "%gptoss serve stop"],
)
NOT_SERVING = "nothing is served: %gptoss serve --background"
PERIOD_S = 1.0


def run(line: str, magics: Any) -> None:
    """One line of `%gptoss serve`."""
    given = opt.parse(PARSER, line)
    command, *words = given.words or ["start"]
    if given.output and command != "log":
        raise InputError("%gptoss serve: --output means something beside log only")
    if command == "start" and not words:
        return start(given, magics)
    if command == "stop":
        check_nothing("%gptoss serve stop", " ".join(words))
        return stop()
    if command == "log" and len(words) <= 1:
        return log(given, words[0] if words else "", magics.shell.user_ns)
    raise InputError(f"%gptoss serve {' '.join(given.words)}: there are stop and log [ID]")


def words(typed: list[str]) -> list[str]:
    """Commands and options."""
    return ["stop", "log", *opt.flags(OPTIONS)] if len(typed) == 1 else opt.flags(OPTIONS)


def start(given: Namespace, magics: Any) -> None:
    """Serve; the cell goes on to show the requests until ■, unless in the background."""
    from gptoss_magic.serving.server import serve

    magics.load_default()
    service = serve(given.port)
    show_served(service)
    print(greeting(service))
    if given.background:
        return
    live = LiveLog(service, given.num)
    try:
        while service.is_up:
            time.sleep(PERIOD_S / 2)
            live.update()
    finally:
        service.stop()
        live.update()
        print("stopped: the port is free")


def greeting(service: Service) -> str:
    """Where it is, the token, and how to ask."""
    from gptoss_magic.serving.names import models

    names = ", ".join(model["id"] for model in models())
    return (
        f"serving {names}\n"
        f"  OPENAI_BASE_URL={service.url}\n"
        f"  OPENAI_API_KEY={service.token}\n"
        "on this machine only, for who has that key (it is shown this once); %gptoss serve log "
        "shows the requests, %gptoss serve stop ends it"
    )


def stop() -> None:
    """End the serving; answers on their way end."""
    required().stop()
    print("stopped: the port is free")


def required() -> Service:
    """What serves. Raises InputError where nothing does."""
    from gptoss_magic.serving.server import serving

    service = serving()
    if service is None:
        raise InputError(NOT_SERVING)
    return service


def log(given: Namespace, name: str, names: dict[str, Any]) -> None:
    """The requests, live while it serves; or one of them, and its answer as a variable."""
    service = required()
    if not name and not given.output:
        LiveLog(service, given.num).follow()
        return
    answer = answer_of(service, name)
    if given.output:
        names[given.output] = answer
        return
    from IPython.display import display

    display(answer)


def answer_of(service: Service, name: str) -> Answer:
    """The answer to a request ('': the last that was answered). Raises InputError."""
    done = [served for served in service.answers.ledger if served.turn is not None]
    if name:
        done = [served for served in done if served.id == name]
    if not done:
        what = f"request {name}" if name else "a request"
        raise InputError(f"%gptoss serve log: {what} that was answered is not there")
    turn = done[-1].turn
    assert turn is not None
    return turn.answer


def conversations_of(names: str) -> list[tuple[Message, ...]]:
    """The conversations of answers by their ids, with commas, or of `all` that are whole.

    Raises InputError for an id that none has.
    """
    done = {
        served.id: (*served.turn.request.messages[1:], *served.turn.said)  # not the system message
        for served in required().answers.ledger
        if served.turn is not None and served.turn.request.messages and served.state == "completed"
    }
    if names == "all":
        chosen = list(done)
    else:
        chosen = [name.strip() for name in names.split(",") if name.strip()]
    check_known("--from-served: answer", chosen, done)
    if not chosen:
        raise InputError("--from-served: nothing was answered yet")
    return [done[name] for name in chosen]


class LiveLog:
    """The requests in one output, written anew when they change, once a second at most.

    `_followed`: those that go on by themselves; the newest does, the others end as they are.
    """

    _followed: ClassVar[list[LiveLog]] = []

    def __init__(self, service: Service, most: int) -> None:
        from IPython.display import display

        self.service, self.most = service, most
        self._changed = threading.Event()
        self._shown = self._data()
        live = in_kernel()  # elsewhere nothing that was shown can be changed
        self._handle: Any = display(self._shown, raw=True, **({"display_id": True} if live else {}))

    def follow(self) -> None:
        """Go on from a thread, while it serves."""
        if self._handle is None:
            return
        self.service.answers.ledger.listeners.append(self._changed.set)
        self._followed.append(self)
        threading.Thread(target=self._follow, name="served log", daemon=True).start()

    def update(self) -> None:
        """Show what is new."""
        data = self._data()
        if data != self._shown and self._handle is not None:
            self._handle.update(data, raw=True)
            self._shown = data

    def _follow(self) -> None:
        ledger = self.service.answers.ledger
        while self.service.is_up and self._followed[-1] is self:
            is_busy = any(not served.ended for served in ledger)
            if self._changed.wait(PERIOD_S) or is_busy:
                self._changed.clear()
                self.update()
                time.sleep(PERIOD_S)
        ledger.listeners.remove(self._changed.set)
        self._followed.remove(self)
        self.update()

    def _data(self) -> dict[str, str]:
        from gptoss_magic.widgets.served import served_html, served_text

        rows = rows_of(list(self.service.answers.ledger)[-self.most :][::-1])
        state = "serving at" if self.service.is_up else "no longer serving at"
        where = f"{state} {self.service.url}"
        return {"text/html": served_html(where, rows), "text/plain": served_text(where, rows)}


def rows_of(all_served: Sequence[Served]) -> list[ServedRow]:
    """What is shown of each request; who waits has its place, 1 is the next."""
    queue = sorted((one for one in all_served if one.state == "waiting"), key=lambda o: o.created)
    places = {served.id: f"waiting · {place}" for place, served in enumerate(queue, 1)}
    return [row_of(served, places.get(served.id, served.state)) for served in all_served]


def row_of(served: Served, state: str) -> ServedRow:
    from gptoss_magic.magics.show import transcript

    answer = served.turn.answer if served.turn else None
    return ServedRow(
        id=served.id,
        clock=time.strftime("%H:%M:%S", time.localtime(served.created)),
        route=served.route,
        model=served.model,
        asked=served.asked,
        state=state,
        num_tokens=served.num_tokens,
        tokens_per_s=answer.usage.tokens_per_s if answer else 0.0,
        fault=served.fault,
        num_repairs=served.num_repairs,
        transcript=transcript(answer) if answer else None,
    )
