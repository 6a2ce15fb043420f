"""What an answer may say: harmony's headers, free thoughts, and in `final` JSON by a schema.

The grammar's masks are llguidance's. Legend: V vocabulary.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.quoting import encodable, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.records import ToolSpec

WHITESPACE = r" |\n {0,16}"  # between JSON's parts: bounded, so that no answer drowns in it
ONE_OF = "oneOf constraints are not supported"
_VOCABULARIES: WeakKeyDictionary[HarmonyCodec, tuple[int, Any]] = WeakKeyDictionary()


class Grammar:
    """A JSON schema made ready for answers; it starts one `Guide` for each.

    `size`: V, the length of the model's logits. `calls`: the answer may call tools before its
    final. `must_call`, in place of a schema: the answer is a call of one of these tools, with
    arguments by its parameters. Raises InputError, naming the feature, where the schema asks for
    what cannot be enforced; MissingPackage.
    """

    def __init__(
        self,
        schema: dict[str, Any] | None,
        codec: HarmonyCodec,
        size: int,
        *,
        calls: bool = False,
        must_call: Sequence[ToolSpec] = (),
    ) -> None:
        self.codec, self.calls, self.size = codec, calls, size
        self.must_call = {tool.name: self._call(tool.parameters) for tool in must_call}
        matcher = _llguidance().LLMatcher
        options: Any = {"whitespace_pattern": WHITESPACE}
        written = encodable(json.dumps(schema or {}, ensure_ascii=False))
        self._body = matcher.grammar_from_json_schema(written, overrides=options)
        self._first = matcher.grammar_from_lark(f"start: {self._header(first=True)}")
        self._later = matcher.grammar_from_lark(
            f'start: {self._start} "assistant" {self._header(first=False)}'
        )
        for name, matcher in {"": self.body(), **self._calls_ready()}.items():
            if fault := matcher.get_error():
                what = f"the parameters of {name}" if name else "the schema"
                raise InputError(
                    f"{what} cannot be enforced: {_fault(fault)}; make it simpler, or leave it out"
                )

    def start(self) -> Guide:
        """A guide for one answer, from behind `<|start|>assistant`."""
        return Guide(self)

    def body(self) -> Any:
        """A matcher of `final`'s text."""
        return self._matcher(self._body)

    def call(self, name: str) -> Any:
        """A matcher of the arguments of a tool that must be called, their `<|call|>` included."""
        return self._matcher(self.must_call[name])

    def _calls_ready(self) -> dict[str, Any]:
        return {name: self.call(name) for name in self.must_call}

    def _call(self, parameters: dict[str, Any]) -> str:
        """The grammar of a call's text, in llguidance's form of Lark."""
        schema = {**(parameters or {"type": "object"})}
        schema["x-guidance"] = {"whitespace_pattern": WHITESPACE}
        written = encodable(json.dumps(schema, ensure_ascii=False))
        lark = f"start: body {self._token('call')}\nbody: %json {written}"
        return str(_llguidance().LLMatcher.grammar_from_lark(lark))

    def header(self, *, first: bool) -> Any:
        """A matcher from behind a message's end, or the prompt's, up to `<|message|>`."""
        return self._matcher(self._first if first else self._later)

    def _matcher(self, grammar: str) -> Any:
        vocabulary = _vocabulary(self.codec, self.size)
        return _llguidance().LLMatcher(vocabulary, grammar, log_level=0)

    def _header(self, *, first: bool) -> str:
        """The header's grammar, in llguidance's form of Lark."""
        kind = f'(" "? {self._token("constrain")} "json")?'
        if self.must_call:
            return self._calling_header(kind, first=first)
        said = f'"analysis" | "final" {kind}'
        channel, message = self._token("channel"), self._token("message")
        if not self.calls:
            return f"{channel} ({said}) {message}"
        said += rf' | "commentary" (/ to=[\w.\-]+/ {kind})?'
        early = rf'/ to=[\w.\-]+/ {channel} "commentary" {kind}'
        return f"({channel} ({said}) | {early}) {message}"

    def _calling_header(self, kind: str, *, first: bool) -> str:
        """Of an answer that must call: a thought or a word before it, then one of the calls."""
        channel, message = self._token("channel"), self._token("message")
        names = " | ".join(json.dumps(f" to=functions.{name}") for name in self.must_call)
        late = f'{channel} "commentary" ({names}) {kind}'
        if first:
            late += f' | {channel} ("analysis" | "commentary")'
        early = f'({names}) {channel} "commentary" {kind}'
        return f"({late} | {early}) {message}"

    @property
    def _start(self) -> str:
        return self._token("start")

    def _token(self, name: str) -> str:
        return f"<[{self.codec.special[name]}]>"

    @cached_property
    def barred(self) -> dict[str, frozenset[int]]:
        """The special tokens that a free text may not have: a 'thought', or a 'call'."""
        special = self.codec.special
        keep = {"thought": {special["end"]}, "call": {special["end"], special["call"]}}
        every = set(self.codec.tokenizer.added_tokens_decoder) | set(special.values())
        return {kind: frozenset(every - kept) for kind, kept in keep.items()}

    @cached_property
    def barred_ids(self) -> dict[str, torch.Tensor]:
        """The same as ids, on the device where they were last asked for."""
        import torch

        return {kind: torch.tensor(sorted(ids)) for kind, ids in self.barred.items()}


class Guide:
    """Follows one answer token by token and says which token may come next.

    Analysis, commentary and calls are free up to their end. `final` is the schema's JSON, and
    `<|return|>` may come only where that is whole; so are the arguments of a call that must be.
    """

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self._names = {token: name for name, token in grammar.codec.special.items()}
        self._enter_header(first=True)

    def _enter_header(self, *, first: bool) -> None:
        self._state, self._matcher = "header", self.grammar.header(first=first)
        self._text = bytearray()

    def bar(self, logits_V: torch.Tensor) -> None:
        """Put -inf, in place, where a token may not come next.

        Raises InputError where the grammar exceeds llguidance's limits.
        """
        import torch

        if self._state in ("thought", "call"):
            ids = self.grammar.barred_ids
            ids[self._state] = ids[self._state].to(logits_V.device)
            logits_V.index_fill_(0, ids[self._state], float("-inf"))
            return
        allowed = torch.frombuffer(bytearray(self._matcher.compute_logit_bias()), dtype=torch.bool)
        if self._matcher.is_error():
            raise InputError(
                f"the schema is too complex: {_fault(self._matcher.get_error())}; make it simpler"
            )
        logits_V.masked_fill_(~allowed.to(logits_V.device), float("-inf"))

    def take(self, token: int) -> None:
        """One more token of the answer. Raises InputError where it may not come."""
        if self._state in ("thought", "call"):
            if token in self.grammar.barred[self._state]:
                raise InputError(
                    f"a schema's answer cannot go on behind {self._shown(token)}; branch before it"
                )
            if token in self._names:
                self._enter_header(first=False)
            return
        if not self._matcher.consume_token(token):
            raise InputError(
                f"{self._shown(token)} breaks the schema's answer at this place; branch before it"
            )
        if self._state == "header":
            self._read(token)

    def _read(self, token: int) -> None:
        """A header's token: what follows `<|message|>` depends on what came before."""
        name = self._names.get(token)
        if name != "message":
            self._text += b"|" if name else self.grammar.codec.token_bytes(token)
            return
        header = bytes(self._text).decode("utf-8", "replace")
        tool = _called(header)
        if tool in self.grammar.must_call:
            self._state, self._matcher = "called", self.grammar.call(tool)
        elif "|final" in header:
            self._state, self._matcher = "final", self.grammar.body()
        else:
            self._state = "call" if "to=" in header else "thought"

    def _shown(self, token: int) -> str:
        return repr(self.grammar.codec.decode([token]))


def _called(header: str) -> str:
    """The function that a header's recipient names; '' where it names none."""
    _, _, rest = header.partition(" to=functions.")
    return rest.replace("|", " ").split(" ")[0]


def _vocabulary(codec: HarmonyCodec, size: int) -> Any:
    """Llguidance's view of the tokenizer; made once, dropped with the codec."""
    known = _VOCABULARIES.get(codec)
    if known is None or known[0] != size:
        made = _llguidance().TokenizerWrapper(_Tokens(codec, size))
        known = _VOCABULARIES[codec] = size, _llguidance().LLTokenizer(made)
    return known[1]


class _Tokens:
    """What llguidance asks of a tokenizer."""

    bos_token_id = None

    def __init__(self, codec: HarmonyCodec, size: int) -> None:
        self.eos_token_id = codec.special["return"]
        self.tokens = [codec.token_bytes(token) for token in range(size)]
        self.special_token_ids = sorted(codec.tokenizer.added_tokens_decoder)
        self._tokenizer = codec.tokenizer  # not the codec: the cache above ends with it

    def __call__(self, text: bytes | str) -> list[int]:
        said = text if isinstance(text, str) else text.decode("utf-8", "ignore")
        return list(
            self._tokenizer.encode(said, add_special_tokens=False, split_special_tokens=True)
        )


def _fault(said: str) -> str:
    """The library's message, short, in one line."""
    return "oneOf of kinds that overlap; use anyOf" if ONE_OF in said else one_line(said, 300)


def _llguidance() -> Any:
    try:
        import llguidance
    except ImportError as error:
        raise MissingPackage(
            "a schema for answers needs llguidance: pip install 'gptoss_magic[schema]'"
        ) from error
    return llguidance
