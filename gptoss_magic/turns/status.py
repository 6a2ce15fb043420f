"""What `%gptoss status` shows: the model here, or the server in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gptoss_magic.records.remote import RemoteModel
    from gptoss_magic.session import Session


def status(session: Session) -> dict[str, str]:
    """What a session holds, as plain values by name."""
    if session.loaded is None:
        return {"model": "none loaded (run %gptoss load)"}
    remote, last = session.remote, session.last
    lines = of_server(remote) if remote else of_resident(session)
    return lines | {
        "adapters": session.shelf.status(),
        "persona": " + ".join(session.persona) or "none",
        "conversations": ", ".join(sorted(session.conversations)) or "none",
        "turns kept": f"{len(session.conversations.turns)}",
        "last speed": f"{last.usage.tokens_per_s:.1f} tokens/s" if last else "-",
    }


def of_server(remote: RemoteModel) -> dict[str, str]:
    """Of a server: who it is, whether its answers are exact, and what works there."""
    return {
        "model": remote.identity["model"],
        "server": remote.server,
        "answers": remote.exactness,
        "works": remote.names(works=True),
        "does not": remote.names(works=False),
        "tokenizer": remote.tokenizer,
        "context": f"{remote.context} tokens" if remote.context else "not told by the server",
    }


def of_resident(session: Session) -> dict[str, str]:
    """Of the model whose weights are in this kernel."""
    resident, engine = session.require_local(), session.local_engine
    plan = resident.plan
    held, limit = engine.prefixes.num_bytes / 1e6, engine.prefixes.limit / 1e6
    num = len(engine.prefixes.held)
    parts = f"{num} prefix{'' if num == 1 else 'es'}"
    return {
        "model": resident.identity["model"],
        "about": resident.about,
        "revision": resident.identity["revision"] or "-",
        "weights": resident.identity["weights"][:16],
        "device": str(resident.model.device),
        "experts": resident.backend,
        "decode": engine.step.describe(),
        "memory": f"{plan.weights / 1e9:.2f} GB of weights",
        "context": f"{plan.context} tokens",
        "KV cache": f"{held:.0f} MB of {limit:.0f} MB, in {parts}",
    }
