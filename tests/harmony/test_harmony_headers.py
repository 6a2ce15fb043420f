"""Headers that went wrong, in public reports and elsewhere, and what is right of each."""

import re

import pytest

from gptoss_magic.harmony import HarmonyCodec, HarmonyParser, prune, render
from gptoss_magic.harmony.channel_names import nearest
from gptoss_magic.harmony.channels import channels_of
from gptoss_magic.records import Message
from gptoss_magic.testing import tiny_tokenizer

CODEC = HarmonyCodec(tiny_tokenizer())
MARK = re.compile(r"(<\|\w+\|>)")
ANSWER = "<|start|>assistant<|channel|>final<|message|>Done.<|return|>"
THOUGHT = "<|channel|>analysis<|message|>T.<|end|>"


def tokens_of(text):
    """Ids of a stream in which specials are written by name."""
    ids = []
    for part in MARK.split(text):
        name = part[2:-2]
        ids += [CODEC.special[name]] if name in CODEC.special else CODEC.encode(part)
    return ids


def parsed(text):
    parser = HarmonyParser(CODEC)
    for token in tokens_of(text):
        parser.feed(token)
    parser.close()
    return parser


# stream -> analysis, commentary, final, calls by name and raw text, number of repairs
CASES = {
    "06 doubled channel": (
        "<|channel|>commentary to=functions.f<|channel|>commentary<|message|>{}<|call|>",
        ("", "", "", [("f", "{}")], 1),
    ),
    "07 stray newline": (
        (
            "<|channel|>analysis<|message|>plan<|end|>\n<|start|>assistant<|channel|>commentary "
            "to=functions.f <|constrain|>json<|message|>{}<|call|>"
        ),
        ("plan", "", "", [("f", "{}")], 0),
    ),
    "08 text before a channel": (
        (
            "We<|channel|>analysis<|message|>secret<|end|><|start|>assistant<|channel|>final"
            "<|message|>Hi<|return|>"
        ),
        ("secret", "We", "Hi", [], 1),
    ),
    "08b no end": (
        "<|channel|>analysis<|message|>think<|channel|>final<|message|>Hi<|return|>",
        ("think", "", "Hi", [], 1),
    ),
    "09 no message token": (
        (
            "<|channel|>analysis<|message|>t<|end|><|start|>assistant<|channel|>final It is sunny."
            "<|return|>"
        ),
        ("t", "", "It is sunny.", [], 1),
    ),
    "09b channel without message": (
        (
            "<|channel|>analysis I must refuse<|end|><|start|>assistant<|channel|>final<|message|>"
            "Sorry.<|return|>"
        ),
        ("I must refuse", "", "Sorry.", [], 1),
    ),
    "10 to=all": ("<|channel|>final to=all<|message|>Hi<|return|>", ("", "", "Hi", [], 1)),
    "10b to=user": ("<|channel|>final to=user<|message|>Hi<|return|>", ("", "", "Hi", [], 1)),
    "10c to=assistant": (
        (
            "<|channel|>commentary to=assistant<|message|>note<|end|><|start|>assistant<|channel|>"
            "final<|message|>Hi<|return|>"
        ),
        ("", "note", "Hi", [], 1),
    ),
    "11 misspelt": (
        (
            "<|channel|>analysis?<|message|>secret<|end|><|start|>assistant<|channel|>final<|message|>"
            "Hi<|return|>"
        ),
        ("secret", "", "Hi", [], 1),
    ),
    "junk in a header": (
        f"<|channel|>??<|end|><|start|>assistant{THOUGHT}{ANSWER}",
        ("T.", "??", "Done.", [], 1),
    ),
    "commentary twice": (
        f"<|channel|>commentary?commentary?<|message|>Secret.<|end|>{ANSWER}",
        ("", "Secret.", "Done.", [], 2),
    ),
    "doubled and empty": (
        (
            "<|channel|>commentary to=assistant<|channel|>commentary?<|end|><|start|>assistant"
            f"{THOUGHT}{ANSWER}"
        ),
        ("T.", "", "Done.", [], 4),
    ),
    "hyphen in a name": (
        (
            '<|channel|>commentary to=functions.web-browsing <|constrain|>json<|message|>{"q":1}'
            "<|call|>"
        ),
        ("", "", "", [("web-browsing", '{"q":1}')], 0),
    ),
    "leaked tokens": (
        (
            " to=functions.manage_cart<|channel|>commentary<|channel|>commentary <|constrain|>json"
            '<|message|>{"a":1}<|call|>'
        ),
        ("", "", "", [("manage_cart", '{"a":1}')], 1),
    ),
    "constrain as the recipient": (
        '<|channel|>commentary to=<|constrain|>json<|message|>{"a":1}<|call|>',
        ("", '{"a":1}', "", [], 1),
    ),
    "no start": (
        "<|channel|>analysis<|message|>T.<|end|><|channel|>final<|message|>Done.<|return|>",
        ("T.", "", "Done.", [], 1),
    ),
    "free text between": (f"{THOUGHT}Here it is: {ANSWER}", ("T.", "Here it is: ", "Done.", [], 1)),
    "constrain and prose": (
        f"<|channel|>commentary<|constrain|>write: edit file with content.<|end|>{ANSWER}",
        ("", "write: edit file with content.", "Done.", [], 1),
    ),
    "another role": (
        f"{THOUGHT}<|start|>bash<|message|>ls<|end|>{ANSWER}",
        ("T.", "ls", "Done.", [], 1),
    ),
    "call on analysis": (
        '<|channel|>analysis to=functions.weather code<|message|>{"city":"Oslo"}<|call|>',
        ("", "", "", [("weather", '{"city":"Oslo"}')], 0),
    ),
    "dashes before a name": (
        f"<|channel|>––commentary<|message|>Hm.<|end|>{ANSWER}",
        ("", "Hm.", "Done.", [], 1),
    ),
    # our own
    "upper case": (f"<|channel|>ANALYSIS<|message|>x<|end|>{ANSWER}", ("x", "", "Done.", [], 1)),
    "letters in another order": (
        "<|channel|>anaylsis<|message|>x<|end|><|start|>assitant<|channel|>fianl<|message|>y",
        ("x", "", "y", [], 3),
    ),
    "channel and recipient glued": (
        " to=functions.fcommentary<|message|>{}<|call|>",
        ("", "", "", [("f", "{}")], 1),
    ),
    "recipient without to=": (
        "<|channel|>commentary functions.f<|message|>{}<|call|>",
        ("", "", "", [("f", "{}")], 0),
    ),
    "a namespace twice": (
        "<|channel|>commentary to=functions.functions.f<|message|>{}<|call|>",
        ("", "", "", [("f", "{}")], 0),
    ),
    "a call without its message token": (
        '<|channel|>commentary to=functions.f <|constrain|>json{"a": 1}<|call|>',
        ("", "", "", [("f", '{"a": 1}')], 1),
    ),
    "a call that begins in its header": (
        '<|channel|>commentary to=functions.f <|constrain|>json{"<|message|>a": 1}<|call|>',
        ("", "", "", [("f", '{"a": 1}')], 1),
    ),
    "no special tokens in the header": (
        f"{THOUGHT}<|start|>assistantfinal It is sunny.<|return|>",
        ("T.", "", "It is sunny.", [], 1),
    ),
    "message before the name": (
        "<|channel|><|message|>analysisHm<|end|><|start|>assistant<|channel|>final<|message|>Hi",
        ("Hm", "", "Hi", [], 2),
    ),
    "an unknown channel alone": (
        "<|channel|>banana<|message|>Hi<|return|>",
        ("", "banana", "Hi", [], 1),
    ),
    "an unknown channel and a call": (
        (
            "<|channel|>banana<|message|>Hi<|end|><|start|>assistant<|channel|>commentary "
            "to=functions.f<|message|>{}<|call|>"
        ),
        ("", "banana\n\nHi", "", [("f", "{}")], 1),
    ),
    "a stray channel within a thought": (
        f"<|channel|>analysis<|message|>a <|channel|> b<|end|>{ANSWER}",
        ("a  b", "", "Done.", [], 1),
    ),
    "the user's turn, invented": (
        "<|channel|>final<|message|>Hi<|end|><|start|>user<|message|>More!<|end|>",
        ("", "More!", "Hi", [], 1),
    ),
    "no header at all": ("I cannot help.", ("", "", "I cannot help.", [], 1)),
    "cut in the channel": (f"{THOUGHT}<|start|>assistant<|channel|>fin", ("T.", "", "", [], 0)),
    "a NUL in the text": ("<|channel|>final a\0b<|return|>", ("", "", "a\0b", [], 1)),
    "all doubled": (
        (
            "<|end|><|start|><|start|>assistantassistant<|channel|><|channel|>finalfinal<|message|>"
            "<|message|>Hi<|return|><|return|>"
        ),
        ("", "", "Hi", [], 4),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_header_that_went_wrong(name):
    stream, right = CASES[name]
    parser = parsed(stream)
    calls = [(call.name, call.raw) for call in parser.tool_calls]
    got = (parser.analysis, parser.commentary, parser.final, calls, len(parser.repairs))
    assert got == right, parser.repairs
    assert parser.text == MARK.sub("", stream)


OTHERS = ("another role", "the user's turn, invented")  # in a conversation these are no answers


@pytest.mark.parametrize("name", [name for name in CASES if name not in OTHERS])
def test_the_places_of_tokens_are_the_parser_s(name):
    """`channels_of` says of each text's tokens what the parser says of the text."""
    stream = tokens_of(CASES[name][0])
    head = render([], CODEC)
    channels = channels_of([*head, *stream], CODEC)[len(head) :]
    parser = parsed(CASES[name][0])
    want = {"analysis": "", "commentary": "", "final": ""}
    for message in parser.messages:
        want[message.channel] += message.content
    got = dict.fromkeys(want, b"")
    for token, channel in zip(stream, channels, strict=True):
        if channel != "header":
            got[channel] += CODEC.token_bytes(token)
    assert {channel: text.decode() for channel, text in got.items()} == want


@pytest.mark.parametrize(
    ("word", "channel"),
    [
        ("analysis", "analysis"),
        ("Analysis:", "analysis"),
        ("analysisanalysis", "analysis"),
        ("comment", "commentary"),
        ("ary", "commentary"),
        ("finl", "final"),
        ("thinking", "analysis"),
        ("banana", ""),
        ("??", ""),
        ("", ""),
    ],
)
def test_the_nearest_channel(word, channel):
    assert nearest(word) == channel


def test_a_delta_is_final_until_a_right_final_comes():
    parser = HarmonyParser(CODEC)
    deltas = [d for token in tokens_of(f"Sure. <|end|>{ANSWER}") for d in parser.feed(token)]
    assert {d.channel for d in deltas if d.message == 0} == {"final"}
    assert [(m.channel, m.content) for m in parser.messages] == [
        ("commentary", "Sure. "),
        ("final", "Done."),
    ]


def test_a_header_is_not_waited_for_without_end():
    """A header that lacks its <|message|> is told once 100 characters stand in it."""
    parser = HarmonyParser(CODEC)
    text = "It is sunny. " * 20
    deltas = [d for token in tokens_of(f"<|channel|>final {text}") for d in parser.feed(token)]
    assert 0 < len(deltas[0].text) < 120
    assert "".join(delta.text for delta in deltas) == text
    assert {delta.channel for delta in deltas} == {"final"}


USER, AGAIN = Message("user", "q"), Message("user", "again")
HM, SO = Message("assistant", "hm", "analysis"), Message("assistant", "so", "analysis")
SAID = Message("assistant", "yes", "final")
CALL = Message("assistant", "{}", "commentary", "functions.f")
RESULT = Message("tool", "1", "commentary", "assistant", author="functions.f")


@pytest.mark.parametrize(
    ("talk", "kept"),
    [
        ([USER, HM, SAID, CALL, RESULT, SO], [USER, HM, SAID, CALL, RESULT, SO]),
        ([USER, HM, SAID, CALL, RESULT], [USER, HM, SAID, CALL, RESULT]),
        ([USER, HM, CALL, RESULT, SO, SAID, AGAIN], [USER, CALL, RESULT, SAID, AGAIN]),
        ([USER, HM, SAID, AGAIN, SO, CALL, RESULT], [USER, SAID, AGAIN, SO, CALL, RESULT]),
        ([USER, HM, SAID, SO], [USER, SAID, SO]),
        ([USER, HM, CALL, RESULT, AGAIN, SO], [USER, HM, CALL, RESULT, AGAIN, SO]),
    ],
)
def test_the_reasoning_of_a_turn_that_goes_on_is_kept(talk, kept):
    assert prune(talk) == kept


def test_a_newline_between_messages_prunes_nothing():
    parser = parsed(CASES["07 stray newline"][0])
    talk = [USER, *parser.messages, RESULT]
    assert prune(talk) == talk
