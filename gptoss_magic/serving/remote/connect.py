"""`connect`: a server in the place of the resident model."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.public import public
from gptoss_magic.records.remote import NEEDS_WEIGHTS, RemoteModel, ServerAbility
from gptoss_magic.serving.remote.adapters import RemoteShelf
from gptoss_magic.serving.remote.address import ServerAddress
from gptoss_magic.serving.remote.byte_codec import byte_codec
from gptoss_magic.serving.remote.client import Client
from gptoss_magic.serving.remote.kinds import BY_TOKENS, chat_kind
from gptoss_magic.serving.remote.probe import probe
from gptoss_magic.serving.remote.refusals import readable
from gptoss_magic.serving.remote.server import OLLAMA, OURS
from gptoss_magic.serving.remote.tokenizers import THEIRS, local_codecs, named_codec, served_codec
from gptoss_magic.serving.remote.trials import (
    check_effect,
    disagreement,
    holds_schema,
    settled_chat,
    tried,
)
from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.serving.remote.chat_engine import ChatEngine
    from gptoss_magic.serving.remote.server import ServerFacts
    from gptoss_magic.serving.remote.token_engine import TokenEngine

NO_TOKENIZER = (
    "no gpt-oss tokenizer lies here to compare its tokens with: --tokenizer FOLDER or NAME"
)


@dataclass(frozen=True)
class _Connected:
    """An engine that was tried, and what came of it."""

    engine: TokenEngine | ChatEngine
    why_not: str
    tokenizer: str
    abilities: tuple[ServerAbility, ...]


@public
def connect(
    url: str,
    *,
    token_env: str = "",
    model: str = "",
    tokenizer: str = "",
    replace: bool = False,
) -> str:
    """Let the server at `url` answer in the resident model's place; one line says what it is.

    `token_env` names the environment variable that holds its token, which goes to that host alone.
    `model`: which of the server's models. `tokenizer`: a folder, 'built-in', or a hub name, whose
    tokenizer is tried beside those that lie here. Where one agrees with the server's, prompts and
    answers are exact token ids; elsewhere chat completions are used.
    Raises InputError, ServerError; all is as before then.
    """
    session = current()
    address = ServerAddress(url, token_env)
    address.token()
    session.check_free(f"connect {address.root}", replace=replace)
    client = Client(address)
    with readable(address.root):
        facts = probe(client, model)
        shelf = RemoteShelf(address.root, tuple(facts.adapters or ()))
        made = _tried(client, facts, shelf, tokenizer)
    shelf.check = lambda name: check_effect(made.engine, shelf, name)
    remote = RemoteModel(
        url=address.root,
        kind=facts.kind,
        version=facts.version,
        identity={"model": facts.model, "revision": None, "weights": ""},
        context=facts.context,
        exact=not made.why_not,
        why_not=made.why_not,
        tokenizer=made.tokenizer,
        abilities=made.abilities,
    )
    session.connect(remote, made.engine, shelf, replace=replace)
    return remote.about


def _tried(client: Client, facts: ServerFacts, shelf: RemoteShelf, tokenizer: str) -> _Connected:
    """By tokens where they agree, else by chat, with the reason."""
    if facts.kind not in BY_TOKENS:
        if tokenizer:
            raise InputError(f"--tokenizer: {facts.kind} takes no token ids: leave it out")
        return _by_messages(client, facts, shelf, f"{facts.kind} takes no token ids")
    why_not = NO_TOKENIZER
    for about, codec in _codecs(client, facts, tokenizer):
        engine = BY_TOKENS[facts.kind](client, codec, facts, shelf)
        why_not = disagreement(engine)
        if not why_not:
            connected = _by_tokens(engine, about)
            if not connected.why_not:
                return connected
            why_not = connected.why_not
        if tokenizer:
            raise InputError(f"--tokenizer {tokenizer}: {client.address.root}: {why_not}")
    return _by_messages(client, facts, shelf, why_not)


def _codecs(
    client: Client, facts: ServerFacts, tokenizer: str
) -> Iterable[tuple[str, HarmonyCodec]]:
    session = current()
    if tokenizer:
        return [(tokenizer, named_codec(tokenizer))]
    held = session.codec if session.resident else None
    told = served_codec(client) if facts.kind == OURS else None
    local = local_codecs(facts.model, held, is_local=client.address.is_local)
    return chain([(THEIRS, told)] if told is not None else [], local)


def _by_tokens(engine: TokenEngine, about: str) -> _Connected:
    first = tried(engine)
    if not first.ids:
        return _Connected(engine, "it gives no token ids back", about, ())
    again = tried(engine)
    engine.holds_schema = holds_schema(engine)
    scored = "its echo" if engine.scores else "it tells none of a text that is given"
    cached = f"{again.num_cached} tokens of the trial were reused"
    abilities = (
        ServerAbility("tokens in and out", True, f"compared with {about} tokenizer: the same"),
        ServerAbility("log-probabilities", bool(first.logprobs), "of each token"),
        ServerAbility("those of a given text", engine.scores, scored),
        _adapters(engine.facts),
        ServerAbility("schema", engine.holds_schema, _schema_words(engine)),
        *_ALWAYS,
        ServerAbility(
            "prefix cache",
            bool(again.num_cached),
            cached if again.num_cached else "it tells of none",
        ),
        _WEIGHTS,
    )
    return _Connected(
        engine, "", f"{about} ({len(engine.codec.tokenizer.get_vocab())} tokens)", abilities
    )


def _by_messages(
    client: Client, facts: ServerFacts, shelf: RemoteShelf, why_not: str
) -> _Connected:
    engine = settled_chat(chat_kind(facts.kind)(client, byte_codec(), facts, shelf))
    left_out = ", ".join(sorted(engine.left_out))
    asked = "asked for in the request; the answer is checked here"
    abilities = (
        ServerAbility("tokens in and out", False, why_not),
        ServerAbility("log-probabilities", False, "a chat's are of other tokens than ours"),
        ServerAbility("those of a given text", False, "chat has none"),
        _adapters(facts),
        ServerAbility("schema", engine.holds_schema, asked if engine.holds_schema else "refused"),
        *_ALWAYS,
        ServerAbility("prefix cache", False, "the server's own affair"),
        *(
            [ServerAbility(left_out, False, "refused by the server, so left out")]
            if left_out
            else ()
        ),
        _WEIGHTS,
    )
    return _Connected(engine, why_not, "bytes of what the server says", abilities)


_ALWAYS = (
    ServerAbility("interrupt", True, "■ closes the stream"),
    ServerAbility("tools", True, "they run here, each call with your consent"),
)
_WEIGHTS = ServerAbility(NEEDS_WEIGHTS, False, "they need the model's weights in this kernel")


def _adapters(facts: ServerFacts) -> ServerAbility:
    names = ", ".join(facts.adapters or ())
    none = "part of a model (Modelfile)" if facts.kind == OLLAMA else "none is loaded there"
    return ServerAbility("adapters", bool(names), names or none)


def _schema_words(engine: TokenEngine) -> str:
    if engine.holds_schema:
        alone = "" if engine.knows_harmony else ", in a request of its own"
        return f"final alone is held to it{alone}"
    return "a trial was not held to one"
