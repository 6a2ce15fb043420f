"""How an `Answer` looks as the value of a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.records import Answer, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gptoss_magic.records.provenance import (
        MemoryRecord,
        PersonaRecord,
        ProbeRecord,
        Provenance,
        RecalledItem,
        ServerRecord,
        SurgeryRecord,
        TermsRecord,
    )

SHOWN = 120  # characters of a recalled item
FEW_WORDS = 0.5  # of the prompt's words in a passage


def transcript(answer: Answer) -> Transcript:
    """The view of a whole answer."""
    return Transcript(
        analysis=answer.analysis,
        final=answer.final,
        commentary=answer.commentary,
        tool_calls=() if answer.steps else answer.tool_calls,
        steps=answer.steps,
        repairs=answer.repairs,
        usage=answer.usage,
        finish=answer.finish,
        model=answer.provenance["model"],
        note=" ".join(filter(None, notes(answer.provenance))),
        passages=answer.passages,
        citations=answer.citations,
        support=answer.support,
    )


def left_behind(answer: Answer) -> dict[str, Any]:
    """What goes with an answer's output: its record, and all of it as JSON."""
    from gptoss_magic.sharing.answer_json import answer_json
    from gptoss_magic.sharing.notebooks import KEY, MIME

    whole = answer_json(answer, transcript(answer).note)
    return {"metadata": {KEY: whole["record"]}, "data": {MIME: whole}}


def notes(provenance: Provenance) -> list[str]:
    """What an answer is labelled with: probe, persona, surgery, what went wrong, and memory."""
    ended = provenance["tools"].get("ended_by", "") if "tools" in provenance else ""
    passages, overlap = provenance.get("passages"), provenance.get("question_overlap", 1.0)
    silent = "" if passages is None else silence(len(passages), overlap)
    persona = persona_note(provenance["persona"]) if "persona" in provenance else ""
    return [
        probe_note(provenance.get("probe")),
        persona,
        terms_note(provenance.get("terms")),
        surgery_note(provenance.get("surgery")),
        silent,
        provenance["schema"].get("error", "") if "schema" in provenance else "",
        ended and f"The run ended: {ended}",
        memory_note(provenance.get("memory")),
        surrogates_note(provenance.get("lone_surrogates", 0)),
        server_note(provenance.get("server")),
    ]


def persona_note(persona: PersonaRecord) -> str:
    """Who answered, who handed over to it, and which signals of the user it heard."""
    handed = f", handed over by {persona['handed_by']}" if "handed_by" in persona else ""
    name = f"persona {persona['name']}{handed}." if persona["name"] else ""
    heard = f"Heard: {'; '.join(persona['signals'])}." if "signals" in persona else ""
    return " ".join(filter(None, (name, heard)))


def memory_note(memory: MemoryRecord | None) -> str:
    """The items that were recalled for an answer, and a turn that could not be kept."""
    if not memory:
        return ""
    items = [
        f"M{n} {item['id'][:6]} ({_kind(item)}) «{_short(item['text'])}»"
        for n, item in enumerate(memory["recalled"], 1)
    ]
    failed = f"Not remembered: {memory['failed']}." if memory.get("failed") else ""
    said = f"From memory: {'; '.join(items)}." if items else ""
    facts = "; ".join(f"«{_short(item['text'])}»" for item in memory.get("learned", []))
    learned = f"Learned: {facts or 'nothing'}." if "learned" in memory else ""
    return " ".join(filter(None, (said, learned, failed)))


def _kind(item: RecalledItem) -> str:
    """`fact, 2026-11-27, of Clara`."""
    return ", ".join(filter(None, (item["kind"], item["time"][:10], item.get("why", ""))))


def terms_note(terms: TermsRecord | None) -> str:
    """The terms of the persona that the prompt quoted."""
    if not terms:
        return ""
    left = f"; no room for {_short(', '.join(terms['left_out']))}" if terms["left_out"] else ""
    return f"Terms: {_short(', '.join(terms['quoted'])) or 'none'}{left}."


def surrogates_note(count: int) -> str:
    """Half characters of the prompt that no tokenizer can read."""
    if not count:
        return ""
    words = "character of the prompt was half of one (a lone surrogate) and was"
    if count > 1:
        words = "characters of the prompt were halves of one (lone surrogates) and were"
    return f"{count} {words} read as \N{REPLACEMENT CHARACTER}."


def server_note(server: ServerRecord | None) -> str:
    """Who answered in the place of a model here, where its answer is not exact or not whole."""
    if not server:
        return ""
    inexact = "" if server["exact"] else f"By {server['kind']}'s chat: not exact."
    note = server.get("note", "")
    return " ".join(filter(None, (inexact, f"Cut off: {note}." if note else "")))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f"{line[:SHOWN]} …" if len(line) > SHOWN else line


def silence(num_passages: int, overlap: float) -> str:
    """What is said where the sources may be silent; empty where they are not."""
    if not num_passages:
        return "No passage matched the prompt."
    if overlap >= FEW_WORDS:
        return ""
    return "No passage has half of the prompt's words: the sources may be silent about it."


def probe_note(probe: ProbeRecord | None) -> str:
    """What an answer is labelled with whose experts were masked or forced."""
    if not probe:
        return ""
    words = {"masked": probe["mask"], "forced": probe["force"]}
    return "probe: " + "; ".join(f"{verb} experts {spec}" for verb, spec in words.items() if spec)


def surgery_note(surgery: SurgeryRecord | None) -> str:
    """What an answer is labelled with that goes on behind another's tokens."""
    if not surgery:
        return ""
    return "analysis edited" if surgery["kind"] == "refine" else f"branched at {surgery['at']}"


def provenance_rows(made: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A provenance as (what, value), tokens as their number and what is long cut."""
    rows = []
    for name, value in made.items():
        words = _value_text(value)
        if name == "prompt_tokens":
            words = f"{len(value)} tokens: {_short(' '.join(map(str, value)))}"
        rows.append((name.replace("_", " "), words))
    return rows


def provenance_html(made: Mapping[str, Any]) -> str:
    """What an answer is made of, as a table."""
    from gptoss_magic.widgets.tables import table_html

    return table_html(("made of", ""), provenance_rows(made))


def provenance_text(made: Mapping[str, Any], printer: Any, _cycle: Any) -> None:
    """The same as text."""
    from gptoss_magic.widgets.tables import table_text

    printer.text(table_text(("made of", ""), provenance_rows(made)))


def _value_text(value: Any) -> str:
    """A value of a provenance in a line."""
    if isinstance(value, dict):
        return _short(", ".join(f"{key} {_value_text(one)}" for key, one in value.items()))
    if isinstance(value, list):
        return _short("; ".join(map(_value_text, value))) or "none"
    return "none" if value in (None, "") else _short(str(value))


def answer_html(answer: Answer) -> str:
    """What the prompt cell itself left behind."""
    from gptoss_magic.widgets.static_html import transcript_html

    return transcript_html(transcript(answer))


def answer_text(answer: Answer, printer: Any, _cycle: Callable[..., Any]) -> None:
    """The same as text, through IPython's pretty printer."""
    from gptoss_magic.widgets.static_html import transcript_text

    printer.text(transcript_text(transcript(answer)))
