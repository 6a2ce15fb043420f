"""What a server is: it is asked, and never guessed from its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import one_line
from gptoss_magic.serving.remote.refusals import RemoteFault
from gptoss_magic.serving.remote.server import (
    LLAMA,
    OLLAMA,
    OURS,
    PLAIN,
    SGLANG,
    VLLM,
    ServerFacts,
)
from gptoss_magic.vocabulary import nearest

if TYPE_CHECKING:
    from gptoss_magic.serving.remote.client import Client

OWNERS = {"vllm": VLLM, "sglang": SGLANG, "llamacpp": LLAMA, "gptoss_magic": OURS}
MAX_NAMES = 20
MAX_CHARS = 200


@dataclass(frozen=True)
class ListedModel:
    """An entry of `/v1/models`. `parent`: of which model it is an adapter or persona."""

    name: str
    parent: str = ""
    owner: str = ""
    context: int = 0


def probe(client: Client, model: str = "") -> ServerFacts:
    """The server's kind, its model of that name ('': its only one), context and adapters.

    Raises RemoteFault where it cannot be reached, InputError for a model that it does not have.
    """
    listed = _models(client)
    kind, version = _kind(client, listed)
    if kind == OLLAMA:
        return ServerFacts(kind, version, _chosen(client, listed, model).name)
    if kind == LLAMA:
        return _llama_facts(client, version, listed, model)
    chosen = _chosen(client, listed, model)
    context = chosen.context
    if kind == SGLANG and not context:
        info = _first(client, "/server_info", "/get_server_info")
        context = _count(info.get("context_length") or info.get("max_total_num_tokens"))
    adapters = {_short(one.name, chosen.name): one.name for one in _beside(listed, chosen, kind)}
    return ServerFacts(kind, version, chosen.name, context, adapters)


def _models(client: Client) -> list[ListedModel]:
    """Raises RemoteFault where nobody is there, and where a token is missing."""
    try:
        said = client.get("/v1/models")
    except RemoteFault as fault:
        if fault.status not in (404, 405, 501):
            raise
        return []
    entries = said.get("data") if isinstance(said, dict) else None
    return [_listed(one) for one in entries or [] if isinstance(one, dict) and one.get("id")]


def _listed(entry: dict[str, Any]) -> ListedModel:
    meta = entry.get("meta")
    context = entry.get("max_model_len") or (meta.get("n_ctx") if isinstance(meta, dict) else 0)
    return ListedModel(
        str(entry["id"]),
        str(entry.get("parent") or ""),
        str(entry.get("owned_by") or ""),
        _count(context),
    )


def _kind(client: Client, listed: list[ListedModel]) -> tuple[str, str]:
    """(kind, version), by what each kind alone answers."""
    version = _first(client, "/version")
    if version.get("server") == OURS:
        return OURS, _word(version.get("version"))
    owners = {OWNERS.get(one.owner, "") for one in listed}
    ollama = _first(client, "/api/version").get("version")
    if ollama and LLAMA not in owners:  # llama-server answers ollama's clients too
        return OLLAMA, _word(ollama)
    props = _first(client, "/props")
    if "default_generation_settings" in props:
        return LLAMA, _word(props.get("build_info"))
    info = _first(client, "/server_info", "/get_server_info")
    if SGLANG in owners or "tokenizer_path" in info:
        return SGLANG, _word(info.get("version"))
    if VLLM in owners and version:
        return VLLM, _word(version.get("version"))
    return PLAIN, ""


def _llama_facts(
    client: Client, version: str, listed: list[ListedModel], model: str
) -> ServerFacts:
    """llama-server has one model; its adapters have numbers, and are called by their files."""
    chosen = _chosen(client, listed, model) if listed else ListedModel(model or "default")
    settings = _first(client, "/props").get("default_generation_settings")
    context = _count(settings.get("n_ctx")) if isinstance(settings, dict) else 0
    try:
        loaded = client.get("/lora-adapters")
    except RemoteFault:
        loaded = []
    adapters = {
        PurePosixPath(str(one.get("path", one["id"])).replace("\\", "/")).stem: str(one["id"])
        for one in (loaded if isinstance(loaded, list) else [])
        if isinstance(one, dict) and isinstance(one.get("id"), int)
    }
    return ServerFacts(LLAMA, version, chosen.name, context or chosen.context, adapters)


def _chosen(client: Client, listed: list[ListedModel], model: str) -> ListedModel:
    where = client.address.root
    if not listed:
        if model:
            return ListedModel(model)
        raise InputError(f"{where} lists no models: name one by --model")
    bases = [one for one in listed if not one.parent] or listed
    if not model:
        if len(bases) > 1:
            raise InputError(f"{where} has several models: --model {_names(bases)}")
        return bases[0]
    named = next((one for one in listed if one.name == model), None)
    if named is None:
        near = nearest(model, [one.name for one in listed])
        raise InputError(f"--model {model}: {where} has none of that name{near or _has(listed)}")
    return named


def _beside(listed: list[ListedModel], chosen: ListedModel, kind: str) -> list[ListedModel]:
    """Its adapters; a persona of another kernel of ours is no adapter."""
    children = [one for one in listed if one.parent == chosen.name and one != chosen]
    return [one for one in children if kind != OURS or "@" not in one.name]


def _short(name: str, base: str) -> str:
    return name.removeprefix(f"{base}+")


def _first(client: Client, *paths: str) -> dict[str, Any]:
    """What the first path that answers with an object says; {} where none does."""
    for path in paths:
        try:
            said = client.get(path)
        except RemoteFault as fault:
            if not fault.status and fault.is_passing:
                raise  # nobody is there any more
            continue
        if isinstance(said, dict):
            return said
    return {}


def _has(listed: list[ListedModel]) -> str:
    return f"; it has {_names(listed)}"


def _names(listed: list[ListedModel]) -> str:
    names = [one_line(one.name, MAX_CHARS) for one in listed[:MAX_NAMES]]
    more = f" and {len(listed) - MAX_NAMES} more" if len(listed) > MAX_NAMES else ""
    return ", ".join(names) + more


def _word(value: Any) -> str:
    return one_line(str(value or ""), 60)


def _count(value: Any) -> int:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if is_count else 0
