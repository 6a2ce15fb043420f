"""What this kernel holds: one model, its engine, the turns so far. It holds and hands out."""

from __future__ import annotations

import gc
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from gptoss_magic.agents.consent import Policies
from gptoss_magic.agents.python_process import PythonProcesses
from gptoss_magic.conversations import Conversations
from gptoss_magic.errors import InputError, NotLoaded
from gptoss_magic.generation.queue import ModelQueue
from gptoss_magic.records.remote import NEEDS_WEIGHTS, RemoteModel
from gptoss_magic.vocabulary import BARE, check_known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.adapters import Active, Shelf
    from gptoss_magic.agents.persona import Persona
    from gptoss_magic.agents.plan import Goals
    from gptoss_magic.agents.servers import Server
    from gptoss_magic.generation import LocalEngine
    from gptoss_magic.generation.protocol import Engine
    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.model.load import LoadSettings, Resident
    from gptoss_magic.model.plan import Plan
    from gptoss_magic.records import Answer

PROBE = (
    "A short text on which a change would show: the capital of France is Paris; 12 * 7 = 84; "
    "def add(a, b): return a + b"
)


@dataclass(frozen=True)
class MemorySettings:
    """What the user says of memory. `is_on`: None leaves it to the persona.

    `is_shared`: across notebooks. `summarise`: the model sums up turns that leave the window.
    `learns`: it draws facts from what the user says.
    `notebook`: what this notebook is called in memory; '' for what the Jupyter server calls it.
    """

    is_on: bool | None = None
    is_shared: bool = False
    summarise: bool = False
    notebook: str = ""
    learns: bool = False


@dataclass
class Session:
    """One per kernel; survives `%reload_ext`.

    `loaded`: the resident model, or a server in its place, and what answers prompts.
    `persona`: the names in use, a base and its overlays. Personas outlive the model.
    `proposal`: the latest reflection on `last`.
    """

    loaded: tuple[Resident | RemoteModel, Engine] | None = None
    held_adapters: Shelf | None = None
    conversations: Conversations = field(default_factory=Conversations)
    personas: dict[str, Persona] = field(default_factory=dict)
    persona: tuple[str, ...] = ()
    memory: MemorySettings = field(default_factory=MemorySettings)
    last: Answer | None = None
    proposal: Any = None
    last_error: BaseException | None = None
    queue: ModelQueue = field(default_factory=ModelQueue)
    training: tuple[str, Any] | None = None
    policies: Policies = field(default_factory=Policies)
    servers: dict[str, Server] = field(default_factory=dict)
    plans: dict[str, Goals] = field(default_factory=dict)
    pythons: PythonProcesses = field(default_factory=PythonProcesses)

    @property
    def resident(self) -> Resident | None:
        """The model whose weights are in this kernel."""
        return None if self.loaded is None or self.remote else cast("Resident", self.loaded[0])

    @property
    def remote(self) -> RemoteModel | None:
        """The server that stands in the resident model's place."""
        model = self.loaded[0] if self.loaded else None
        return model if isinstance(model, RemoteModel) else None

    def load(
        self,
        settings: LoadSettings,
        progress: Callable[[int, int, str], None] = lambda done, total, note: None,
        on_plan: Callable[[Plan], None] = lambda plan: None,
        *,
        replace: bool = False,
    ) -> bool:
        """Load once. False where this very model was resident already.

        Another model raises InputError unless `replace`; the old one is freed once all but the
        weights of the new one is checked. Other threads wait meanwhile.
        """
        with self.queue.turn():
            return self._load(settings, progress, on_plan, replace=replace)

    def _load(
        self,
        settings: LoadSettings,
        progress: Callable[[int, int, str], None],
        on_plan: Callable[[Plan], None],
        *,
        replace: bool,
    ) -> bool:
        if self.resident is not None and _same(self.resident.settings, settings):
            return False
        self.check_free(f"load {settings.model}", replace=replace)
        from gptoss_magic.adapters import Shelf
        from gptoss_magic.generation import LocalEngine
        from gptoss_magic.harmony import HarmonyCodec
        from gptoss_magic.model.load import load

        resident = load(settings, progress, on_plan, self._make_room)
        plan, codec = resident.plan, HarmonyCodec(resident.tokenizer)
        engine = LocalEngine(resident.model, codec, plan.context, plan.kv_cache)
        beside = partial(_put_beside, engine)
        self.held_adapters = Shelf(resident.model, codec.encode(PROBE), beside)
        self.loaded = resident, engine
        return True

    def connect(
        self, model: RemoteModel, engine: Engine, shelf: Shelf, *, replace: bool = False
    ) -> None:
        """Let a server answer from now on, with the adapters of `shelf`.

        Where a model or another server is there, raises InputError unless `replace`.
        """
        with self.queue.turn():
            self.check_free(f"connect {model.url}", replace=replace)
            self._make_room()
            self.loaded, self.held_adapters = (model, engine), shelf

    def check_free(self, wish: str, *, replace: bool) -> None:
        """Raise InputError where something is loaded or connected, unless `replace`."""
        if self.loaded is None or replace:
            return
        held = f"{self.remote.url} is connected" if self.remote else f"{self.name} is loaded"
        raise InputError(f"{held}; add --replace to {wish}")

    def _make_room(self) -> None:
        if self.loaded is not None:
            self.unload()

    def unload(self) -> None:
        """Drop the model, or the server, and the conversations; the memory is free afterwards."""
        with self.queue.turn():
            had_model = self.resident is not None
            self.loaded = self.held_adapters = self.last_error = None
            self.conversations.clear()
            self.pythons.end()
        if had_model:
            from gptoss_magic.model.pages import return_memory

            gc.collect()
            return_memory()

    def require(self) -> Resident | RemoteModel:
        """What answers: the resident model, or a server. Raises NotLoaded."""
        if self.loaded is None:
            raise NotLoaded("no model is loaded: run %gptoss load")
        return self.loaded[0]

    def require_local(self) -> Resident:
        """The model whose weights are in this kernel. Raises NotLoaded, InputError for a server."""
        model = self.require()
        if isinstance(model, RemoteModel):
            raise InputError(
                f"{model.url} answers here, and this needs the model's weights in this kernel "
                f"({NEEDS_WEIGHTS} do): %gptoss unload, then %gptoss load"
            )
        return model

    @property
    def name(self) -> str:
        """What the model that answers is called. Raises NotLoaded."""
        return self.require().identity["model"]

    @property
    def engine(self) -> Engine:
        """What answers prompts of token ids. Raises NotLoaded."""
        self.require()
        assert self.loaded is not None
        return self.loaded[1]

    @property
    def local_engine(self) -> LocalEngine:
        """The resident model's own engine: it batches, and has caches.

        Raises NotLoaded, InputError for a server.
        """
        self.require_local()
        return cast("LocalEngine", self.engine)

    @property
    def codec(self) -> HarmonyCodec:
        """Between the resident model's tokens and text. Raises NotLoaded."""
        return self.engine.codec

    def ready(self) -> Session:
        """The session with a model: what fits this machine is loaded where none is."""
        from gptoss_magic.model.load import LoadSettings, choose_model

        with self.queue.turn() if self.loaded is None else nullcontext():
            if self.loaded is None:  # another thread may have loaded one while this one waited
                self.load(LoadSettings(model=choose_model()[0]))
        return self

    def check_idle(self) -> None:
        """Raise InputError while a run trains the model in the background."""
        self.queue.check()

    @contextmanager
    def training_by(self, run: str, control: Any) -> Iterator[None]:
        """Within, the model is this thread's, and others are refused; `control` stops the run."""
        with self.queue.turn():
            self.training = run, control
            self.queue.closed_by = (
                f"the run {run} trains the model: wait for it, or %gptoss runs stop"
            )
            try:
                yield
            finally:
                self.training, self.queue.closed_by = None, ""

    @property
    def shelf(self) -> Shelf:
        """The adapters beside the resident model. Raises NotLoaded."""
        self.require()
        assert self.held_adapters is not None
        return self.held_adapters

    @contextmanager
    def using(
        self,
        names: Sequence[str] | None = None,
        is_gone: Callable[[], bool] = lambda: False,
        *,
        is_back: bool = False,
    ) -> Iterator[Active]:
        """Within, the engine generates beside these adapters (None: those in use), as `names`.

        Other threads wait for their turn meanwhile, but before a server. Nothing that was computed
        beside others is reused. Raises NotLoaded, InputError.
        """
        waits = not self.engine.capabilities.parallel
        turn = self.queue.turn(is_gone, is_back=is_back) if waits else nullcontext()
        with turn, self.shelf.active(names) as active:
            yield active

    def adapters(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """The attached adapters of these names (None: those in use); () is the bare base.

        Raises InputError for others, before a model is loaded too.
        """
        if self.held_adapters is not None:
            return self.held_adapters.chosen(names)
        check_known("adapter", [name for name in names or () if name not in BARE], ())
        return ()

    def layers(self, names: Sequence[str] | None = None) -> list[Persona]:
        """The personas by these names (None: those in use), in the order they are laid.

        Raises InputError for a name that no persona has.
        """
        from gptoss_magic.agents.layers import layers_of

        return layers_of(self.persona if names is None else names, self.personas)


def _put_beside(engine: LocalEngine, active: Active) -> None:
    """Let the engine reuse only what was computed beside these adapters."""
    from gptoss_magic.generation import Beside

    fill = partial(active.fill, engine.model)
    engine.prefixes.beside = Beside(active.key, active.num_virtual, fill)


def _same(held: LoadSettings, asked: LoadSettings) -> bool:
    """True where `asked` names the held model and nothing that differs from how it was loaded."""
    plain = type(asked)(model=asked.model)
    return held.model == asked.model and all(
        getattr(asked, name) in (getattr(plain, name), getattr(held, name))
        for name in ("device", "context", "revision")
    )


_CURRENT = Session()


def current() -> Session:
    """The session of this process."""
    return _CURRENT
