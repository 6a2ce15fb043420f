"""Answer a template for each row of a DataFrame; results land in it as they come."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import DoesNotFit, InputError, ServerError, error_line
from gptoss_magic.generation import AnswerBuilder, BatchPrompt, Ended, stream_batch, stream_parallel
from gptoss_magic.generation.builder import told
from gptoss_magic.generation.protocol import engine_for
from gptoss_magic.harmony import HarmonyParser
from gptoss_magic.quoting import num_surrogates
from gptoss_magic.records import Mapped
from gptoss_magic.session import current
from gptoss_magic.turns.answer import provenance_of
from gptoss_magic.turns.prompt import ids_of, messages_of
from gptoss_magic.turns.record import record_of
from gptoss_magic.turns.rows.journal import Journal
from gptoss_magic.turns.rows.settings import default_journal
from gptoss_magic.vocabulary import NONE, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.generation.protocol import Engine
    from gptoss_magic.records import Answer, SamplingSettings, TokenDelta
    from gptoss_magic.records.provenance import Provenance, ServerRecord
    from gptoss_magic.turns.rows.frame import MapFrame
    from gptoss_magic.turns.rows.settings import MapSettings
    from gptoss_magic.turns.rows.template import RowTemplate


def run_map(
    frame: MapFrame,
    template: RowTemplate,
    settings: MapSettings,
    on_row: Callable[[int, int, int], None] = lambda done, total, tokens: None,
) -> Mapped:
    """Fill the two columns of `frame`, in place.

    A row that fails has its error there, and None for an answer. What the journal knows is not
    asked again. `on_row` is told rows done, rows in total, tokens generated. KeyboardInterrupt
    ends it early; what is done stays.
    Raises InputError, MissingPackage, StorageError, DoesNotFit.
    """
    prompts = [_prompt(template, values) for values in frame.rows]
    with Journal(settings.journal or default_journal(settings, template.text)) as journal:
        frame.open()
        run = _Run(frame, settings, journal)
        try:
            with current().using(run.beside):
                run.open(prompts)
            on_row(run.done, len(prompts), 0)
            run.answer(lambda: on_row(run.done, len(prompts), run.num_tokens))
        finally:
            frame.close()
        return run.summary()


class _Run:
    def __init__(self, frame: MapFrame, settings: MapSettings, journal: Journal) -> None:
        self.engine = current().engine
        self.frame, self.settings, self.journal = frame, settings, journal
        self.request, schema = settings.request, settings.request.schema
        self.beside = settings.request.adapters or (NONE,)
        self.provenance = provenance_of(self.request, current().require().identity)
        self.provenance.pop("terms", None)  # each row has its own
        if self.request.voice.layers:
            self.provenance["persona"] = self.request.voice.record()
        self.prompts: list[BatchPrompt] = []
        self.engines: list[Engine] = []  # what answers each
        self.asked: list[tuple[int, str]] = []  # row and key of each prompt
        self.keys: list[str] = []  # of the rows that the journal has, or will have
        self.done = self.kept = self.failed = self.num_tokens = self.num_broken = 0
        self.why = ""
        self.finish, self.began = "return", time.perf_counter()
        self.grammar = self.engine.grammar(schema.enforced, calls=False) if schema else None

    def open(self, prompts: Sequence[str | InputError]) -> None:
        """Sort the rows: failed before the start, known to the journal, or to be asked."""
        if self.request.is_new:
            self.journal.forget({self._key(row, p) for row, p in enumerate(prompts)})
        for row, prompt in enumerate(prompts):
            try:
                self._open(row, prompt)
            except Exception as error:  # noqa: BLE001 (one row's, whatever it is)
                self._put(row, None, error_line(error))

    def _open(self, row: int, prompt: str | InputError) -> None:
        if isinstance(prompt, InputError):
            raise prompt
        sampling, key = self._sampling(row), self._key(row, prompt)
        self.num_broken += num_surrogates(prompt) > 0
        if key in self.journal.known:
            known = self.journal.known[key]
            self.kept += 1
            self.keys.append(key)
            return self._put(row, known["final"], known["error"])
        request = replace(self.request, prompt=prompt, sampling=sampling)
        request = replace(request, messages=messages_of(request))
        prompt_T, engine = ids_of(request), engine_for(self.engine, request)
        engine.check(prompt_T, sampling.max_tokens)
        self.engines.append(engine)
        self.prompts.append(BatchPrompt(prompt_T, sampling, self.grammar))
        self.asked.append((row, key))

    def _sampling(self, row: int) -> SamplingSettings:
        """Its seed is the map's seed plus the row's number."""
        return replace(self.request.sampling, seed=self.request.sampling.seed + row)

    def _key(self, row: int, prompt: str | InputError) -> str:
        return self.settings.key(prompt, None if self.settings.greedy else self._sampling(row).seed)

    def answer(self, on_row: Callable[[], None]) -> None:
        """Ask what is left. An interrupt ends it, and too little memory says what to do."""
        import torch

        builders: dict[int, AnswerBuilder] = {}
        stream = self._stream()
        try:
            while self._read_slice(stream, builders, on_row):
                pass
        except KeyboardInterrupt:
            self.finish = "interrupt"
        except torch.OutOfMemoryError as error:
            fewer = max(1, self.settings.num_rows // 2)
            raise DoesNotFit(
                f"{counted(self.settings.num_rows, 'row')} at a time need more memory than "
                "there is: "
                f"--batch {fewer} may fit; what is done stays ({counted(self.done, 'row')})"
            ) from error
        except ServerError as error:
            raise ServerError(
                f"{error}; {self.done} of {counted(len(self.frame.rows), 'row')} are "
                "done and stay: run it again to go on"
            ) from error

    def _stream(self) -> Iterator[tuple[int, TokenDelta | Ended]]:
        if self.engine.capabilities.parallel:
            asks = list(zip(self.engines, self.prompts, strict=True))
            return stream_parallel(asks, self.settings.num_rows)
        return stream_batch(current().local_engine, self.prompts, self.settings.num_rows)

    def _read_slice(
        self,
        stream: Iterator[tuple[int, TokenDelta | Ended]],
        builders: dict[int, AnswerBuilder],
        on_row: Callable[[], None],
    ) -> bool:
        """Take tokens until another thread wants the model; False where there are no more."""
        with current().using(self.beside, is_back=self.num_tokens > 0):
            for index, delta in stream:
                self.num_tokens += not isinstance(delta, Ended)
                if self._take(index, delta, builders):
                    on_row()
                if current().queue.is_wanted:
                    return True
        return False

    def _take(
        self, index: int, delta: TokenDelta | Ended, builders: dict[int, AnswerBuilder]
    ) -> bool:
        """Add a token to its answer; True where that was the last."""
        if index not in builders:
            builders[index] = AnswerBuilder(HarmonyParser(self.engine.codec))
        stop, server = self.prompts[index].settings.stop, None
        if isinstance(delta, Ended):
            builders[index].end(delta.finish, stop)
            server = delta.server
            if fault := lost(delta):
                self._put(self.asked[index][0], None, fault)  # no journal has it: it is asked again
                return True
        elif self.engine.capabilities.parallel:
            builders[index].take(delta)
            return False
        elif not builders[index].add(delta, stop):
            return False
        self._ended(index, builders.pop(index), server)
        return True

    def _ended(self, index: int, builder: AnswerBuilder, server: ServerRecord | None) -> None:
        sampling = self.prompts[index].settings
        prompt_T = list(self.prompts[index].prompt)
        record: Provenance = {
            **self.provenance,
            "prompt_tokens": prompt_T,
            "sampling": sampling.record(),
        }
        answer = builder.answer(len(prompt_T), 0, record)
        self._keep(*self.asked[index], told(answer, server) if server else answer)

    def _keep(self, row: int, key: str, answer: Answer) -> None:
        error = _fault(answer)
        self._put(row, answer.final, error)
        self.keys.append(key)
        self.journal.add(
            {
                "key": key,
                "row": row,
                "final": answer.final,
                "analysis": answer.analysis,
                "error": error,
                "finish": answer.finish,
                "num_tokens": answer.usage.completion_tokens,
                "provenance": json.dumps(record_of(answer)),
            }
        )

    def _put(self, row: int, final: str | None, error: str | None) -> None:
        """Write a row; with a schema its JSON value, or what is wrong with it."""
        value: Any = final
        if error is None and self.request.schema is not None and final is not None:
            try:
                value = self.request.schema.parse(final)
            except InputError as wrong:
                error = str(wrong)
        self.done += 1
        self.failed += error is not None
        self.why = self.why or error or ""
        self.frame.put(row, value if error is None else None, error)

    def summary(self) -> Mapped:
        """What was done; called inside the journal's context."""
        return Mapped(
            rows=len(self.frame.rows),
            done=self.done,
            kept=self.kept,
            failed=self.failed,
            finish=self.finish,
            completion_tokens=self.num_tokens,
            total_s=time.perf_counter() - self.began,
            journal=str(self.journal.folder),
            num_broken=self.num_broken,
            keys=tuple(self.keys),
            why=self.why,
            provenance={**self.provenance, "sampling": self.request.sampling.record()},
        )


def _prompt(template: RowTemplate, values: Sequence[Any]) -> str | InputError:
    try:
        return template.render(values)
    except InputError as error:
        return error


def lost(ended: Ended) -> str:
    """Why a server's answer is not whole; '' where it is."""
    if ended.error is not None:
        return error_line(ended.error)
    return (
        ended.server.get("note", "cut off") if ended.server and ended.finish == "interrupt" else ""
    )


def _fault(answer: Answer) -> str | None:
    """Why an answer is none, or None."""
    if answer.finish == "length":
        size = answer.usage.completion_tokens
        return f"cut off after {counted(size, 'token')}: raise --max-tokens"
    return None if answer.final else f"no final answer (it ended by {answer.finish!r})"
