"""Answers that follow a schema: 200 generated ones on a random model, and each way to generate."""

import json
import random
import sys
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, TextIO

import jsonschema
import pytest
import torch
from pydantic import BaseModel, Field, TypeAdapter, create_model, field_validator
from typing_extensions import TypedDict

import gptoss_magic
from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.generation import (
    BatchPrompt,
    Grammar,
    LocalEngine,
    SamplingSettings,
    stream_batch,
)
from gptoss_magic.harmony import HarmonyCodec, parse
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_model
from gptoss_magic.turns.answer_schema import AnswerSchema
from tests.harmony_reference import RealTokenizer
from tests.shell_cells import run, tiny_shell

ASK = {"effort": "low", "date": "2026-01-01"}


@pytest.fixture(scope="module")
def engine():
    model, tokenizer = tiny_model(num_hidden_layers=1, max_position_embeddings=4096)
    return LocalEngine(model, HarmonyCodec(tokenizer), 4096, 10**9)


def schema_of(draw, depth=0):
    """A random JSON schema, small enough for a model that draws at random."""
    plain = [
        lambda: {"type": "string", "maxLength": draw.randint(0, 8)},
        lambda: {"type": "string", "minLength": 2, "maxLength": 5},
        lambda: {"type": "string", "pattern": draw.choice(["^[a-z]{1,6}$", r"^\d{3}-x+$"])},
        lambda: {"type": "string", "format": draw.choice(["date", "uuid", "ipv4"])},
        lambda: {"type": "integer"},
        lambda: {"type": "integer", "minimum": draw.randint(-50, 0), "maximum": 700},
        lambda: {"type": "integer", "multipleOf": draw.randint(2, 9)},
        lambda: {"type": "number"},
        lambda: {"type": "number", "exclusiveMinimum": 0, "maximum": draw.randint(1, 9)},
        lambda: {"type": "boolean"},
        lambda: {"enum": [draw.choice(["a", 'say "b"', "ü\n"]), 3, None, [1, {"x": 2}]]},
        lambda: {"const": draw.choice(["always", 0, None, {"k": []}])},
        lambda: {"type": ["null", draw.choice(["integer", "boolean"])]},
    ]
    nested = [
        lambda: object_of(draw, depth + 1),
        lambda: {"type": "array", "items": schema_of(draw, depth + 1), "maxItems": 3},
        lambda: {
            "type": "array",
            "prefixItems": [schema_of(draw, 2), schema_of(draw, 2)],
            "items": False,
            "minItems": draw.randint(0, 2),
        },
        lambda: {"anyOf": [schema_of(draw, depth + 1), schema_of(draw, depth + 1)]},
    ]
    return draw.choice(plain if depth > 1 else plain + 3 * nested)()


def object_of(draw, depth=0):
    names = draw.sample(["name", "größe", 'a "b"', "c d", "x", "y"], draw.randint(1, 4))
    made = {
        "type": "object",
        "properties": {name: schema_of(draw, depth) for name in names},
        "required": draw.sample(names, draw.randint(0, len(names))),
        "additionalProperties": False,
    }
    if draw.random() < 0.3:
        made |= {"patternProperties": {"^z[a-z]{0,3}$": {"type": "boolean"}}, "required": names}
        made["maxProperties"] = len(names) + 1
    return made


class Colour(Enum):
    RED = "red"
    GREEN = "green"


def model_of(draw):
    """A random pydantic model; some of its fields are models or optional."""
    inner = create_model("Inner", n=(int, Field(ge=0, le=9)), c=(Colour, ...))
    kinds = [
        (str, Field(max_length=6)),
        (str | None, Field(None, max_length=4)),
        (float, Field(gt=-1, lt=1)),
        (Literal["p", "q"], ...),
        (Colour, Colour.RED),
        (inner, ...),
        (list[inner], Field(max_length=2)),
        (tuple[bool, int], ...),
        (list[int | bool], Field(min_length=1, max_length=3)),
    ]
    fields = {f"f{n}": draw.choice(kinds) for n in range(draw.randint(1, 4))}
    return create_model("Outer", **fields)


@cache
def the_200():
    draw = random.Random(7)
    made = [object_of(draw) if n % 3 else schema_of(draw) for n in range(150)]
    return [AnswerSchema(given) for given in made + [model_of(draw) for _ in range(50)]]


def test_an_answer_to_each_of_200_schemas_parses_and_validates(engine):
    schemas = the_200()
    size = engine.model.config.vocab_size
    requests = [
        BatchPrompt(
            [8 + n % 256, *range(20, 60)],
            SamplingSettings(temperature=1.5, max_tokens=450, seed=n),
            Grammar(schema.enforced, engine.codec, size),
        )
        for n, schema in enumerate(schemas)
    ]
    said = [[] for _ in schemas]
    finish = [""] * len(schemas)
    for index, delta in stream_batch(engine, requests, 64):
        said[index].append(delta.token_id)
        finish[index] = delta.finish
    whole = [n for n, end in enumerate(finish) if end == "return"]
    assert len(whole) > 130
    assert set(finish) <= {"return", "length"}
    thoughts = 0
    for n in whole:
        *before, last = parse(said[n], engine.codec)
        assert {m.channel for m in before} <= {"analysis"}
        assert last.channel == "final"
        jsonschema.Draft202012Validator(schemas[n].schema).validate(json.loads(last.content))
        value = schemas[n].value(last.content)
        if schemas[n].model is not None:
            assert isinstance(value, schemas[n].model)
        thoughts += bool(before)
    assert thoughts > 20  # analysis was free, and came to its end


class Place(BaseModel):
    name: str = Field(max_length=8)
    size: int = Field(ge=0, le=99)


class Odd(BaseModel):
    n: int = Field(ge=0, le=9)

    @field_validator("n")
    @classmethod
    def never(cls, n):
        raise ValueError("not this one")


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("schemas"), 2048) as shell:
        shell.user_ns |= {"Place": Place, "Odd": Odd}
        yield shell


def whole(schema, **how):
    """The first seed's answer that comes to its end."""
    how = {"max_tokens": 120, "temperature": 1.5, **ASK, **how}
    made = (gptoss_magic.generate("Where?", schema=schema, seed=n, **how) for n in range(40))
    return next(answer for answer in made if answer.finish == "return")


def test_a_cell_gives_a_parsed_answer_and_repeats(shell):
    seed = whole(Place).provenance["sampling"]["seed"]
    cell = f"%%gptoss --schema Place -t 1.5 -m 120 -s {seed} -e low -d 2026-01-01 -n -o a\nWhere?"
    assert run(shell, cell)[0].success
    answer = shell.user_ns["a"]
    assert isinstance(answer.parsed, Place)
    assert json.loads(answer.final) == answer.parsed.model_dump()
    codec = current().codec
    prompt = codec.decode(answer.provenance["prompt_tokens"])
    assert "# Response Formats\n\n## Place\n\n{" in prompt
    assert answer.provenance["schema"]["schema"] == Place.model_json_schema()
    first = answer.raw_tokens
    run(shell, cell)
    assert shell.user_ns["a"].raw_tokens == first
    plain = whole(Place.model_json_schema() | {"additionalProperties": False})
    assert plain.parsed == json.loads(plain.final)


def test_what_is_cut_off_has_no_value(shell):
    cut = gptoss_magic.generate("Where?", schema=Place, max_tokens=3, **ASK)
    assert (cut.finish, cut.parsed) == ("length", None)
    stopped = whole(Place)
    seed, stop = stopped.provenance["sampling"]["seed"], ('"size"',)
    how = {"seed": seed, "max_tokens": 120, "temperature": 1.5, **ASK}
    stopped = gptoss_magic.generate("Where?", schema=Place, stop=stop, **how)
    assert (stopped.finish, stopped.parsed) == ("stop", None)


def test_what_no_grammar_sees_is_said_and_the_answer_stays(shell):
    seed = whole(Odd).provenance["sampling"]["seed"]
    cell = f"%%gptoss -S Odd -t 1.5 -m 120 -s {seed} -e low -d 2026-01-01 -n -o a\nWhere?"
    _, shown = run(shell, cell)
    answer = shell.user_ns["a"]
    assert answer.parsed is None
    assert json.loads(answer.final)["n"] in range(10)
    assert "not this one" in answer.provenance["schema"]["error"]
    assert "Odd refuses the answer" in shown


def test_surgery_keeps_the_schema(shell):
    answer = whole(Place)
    at = len(answer.raw_tokens) - 5
    made = gptoss_magic.branch(answer, at, seed=1, max_tokens=200)
    assert made.raw_tokens[:at] == answer.raw_tokens[:at]
    assert isinstance(made.parsed, Place)
    made = gptoss_magic.refine(answer, "A thought.", seed=1, max_tokens=300)
    assert isinstance(made.parsed, Place)
    with pytest.raises(InputError, match="breaks the schema"):
        gptoss_magic.branch(answer, at, text="}}}}")
    free = gptoss_magic.generate("Where?", max_tokens=9, temperature=1.5, seed=1, **ASK)
    with pytest.raises(InputError, match="breaks the schema"):
        gptoss_magic.branch(free, 5, schema=Place)


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "array", "uniqueItems": True}, 'Unimplemented keys: ["uniqueItems"]'),
        ({"not": {"type": "string"}}, 'Unimplemented keys: ["not"]'),
        ({"type": "string", "pattern": "a(?=b)"}, "look-around"),
        ({"type": "string", "format": "odd"}, "Unknown format: odd"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "use anyOf"),
        ({"type": "integer", "minimum": 3, "maximum": 1}, "Unsatisfiable"),
        ({"$ref": "https://example.org/x.json"}, "does not fetch"),
        ({"type": "banana"}, "the schema is wrong"),
        (["type"], "give a JSON schema"),
        (True, "schema True: every answer would do"),
        (False, "schema False: no answer would do"),
        ({}, "it is empty"),
        ({"city": "string"}, "(only city), so every answer would do"),
        ({"title": "City", "description": "A city."}, "(only title, description)"),
        ({"name": "city", "parameters": {"type": "object"}}, "(only name, parameters)"),
        ({"name": "city", "strict": True, "schema": "{}"}, "wrapper without a schema in it"),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, "wrapper without a schema"),
        ({"type": "json_object"}, "the schema is wrong at $.type"),
        ({"type": "object", "required": None}, "the schema is wrong at $.required"),
        ({"$schema": 5, "type": "object"}, "the schema is wrong"),
        ({"enum": {1, 2}}, "it is no JSON: Object of type set"),
        ({"const": float("nan")}, "it is no JSON"),
        ('{"type": ', "not JSON (Expecting value: line 1"),
        ("[1]", "schema [1]: give a JSON schema"),
        (Place(name="a", size=1), "a value of Place; give Place itself"),
        (dict.get, "schema get: give a JSON schema"),
        (Any, "so every answer would do"),
        (TextIO, "schema TextIO"),
    ],
)
def test_what_cannot_be_enforced_is_named_before_the_start(shell, schema, says):
    shell.user_ns["Bad"] = schema
    result, shown = run(shell, "%%gptoss --schema Bad -n\nx")
    assert isinstance(result.error_in_exec, InputError)
    assert says in str(result.error_in_exec)
    assert len(shown.strip().splitlines()) == 1


CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 4}},
    "required": ["city"],
    "additionalProperties": False,
}
WRAPPER = {"name": "the city", "strict": True, "schema": CITY}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (WRAPPER, "the city"),
        ({"schema": CITY, "description": "A city."}, "answer"),
        ({"type": "json_schema", "json_schema": WRAPPER}, "the city"),
        ({"type": "json_schema", **WRAPPER}, "the city"),
        ({"response_format": {"type": "json_schema", "json_schema": WRAPPER}}, "the city"),
        ({"text": {"format": {"type": "json_schema", **WRAPPER}}}, "the city"),
        (json.dumps(CITY), "answer"),
        (json.dumps(WRAPPER), "the city"),
    ],
)
def test_a_schema_comes_out_of_its_wrapper(given, name):
    made = AnswerSchema(given)
    assert (made.schema, made.name, made.enforced) == (CITY, name, CITY)
    assert made.value('{"city": "Oslo"}') == {"city": "Oslo"}
    with pytest.raises(InputError, match="breaks the schema"):
        made.value('"Oslo"')


def test_a_wrapped_schema_is_enforced_in_a_cell(shell):
    shell.user_ns["Wrapped"] = WRAPPER
    seed = whole(WRAPPER).provenance["sampling"]["seed"]
    cell = f"%%gptoss --schema Wrapped -t 1.5 -m 120 -s {seed} -e low -d 2026-01-01 -n -o a\nWhere?"
    run(shell, cell)[0].raise_error()
    answer = shell.user_ns["a"]
    assert answer.parsed == json.loads(answer.final)
    assert answer.parsed.keys() == {"city"}
    assert answer.provenance["schema"]["name"] == "the city"


def test_properties_that_are_called_like_a_wrapper_are_a_schema():
    plain = {"type": "object", "properties": {"schema": {"type": "string"}, "name": True}}
    assert AnswerSchema(plain).schema == plain
    assert AnswerSchema({"schema": CITY, "required": ["x"]}).schema["required"] == ["x"]


@dataclass
class Point:
    x: int
    y: int = 0


class Pair(TypedDict):
    left: Point


@pytest.mark.parametrize(
    ("kind", "name", "text", "value"),
    [
        (Point, "Point", '{"x": 1}', Point(1)),
        (Pair, "Pair", '{"left": {"x": 1}}', {"left": Point(1)}),
        (Colour, "Colour", '"red"', Colour.RED),
        (list[Point], "answer", '[{"x": 2}]', [Point(2)]),
        (Point | None, "answer", "null", None),
        (Literal["p", "q"], "answer", '"q"', "q"),
        (TypeAdapter(dict[str, Place]), "answer", "{}", {}),
        (Place, "Place", '```json\n{"name": "a", "size": 3}\n```', Place(name="a", size=3)),
    ],
)
def test_types_that_pydantic_knows_are_schemas(engine, kind, name, text, value):
    made = AnswerSchema(kind)
    assert made.name == name
    assert made.value(text) == value
    Grammar(made.enforced, engine.codec, engine.model.config.vocab_size)
    with pytest.raises(InputError) as caught:
        made.value('{"z": 1}' if value != {} else "[]")
    assert len(str(caught.value).splitlines()) == 1


def test_a_validator_s_own_error_is_one_line():
    class Strange(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def never(cls, n):
            raise KeyError("first\nsecond")

    with pytest.raises(InputError) as caught:
        AnswerSchema(Strange).value('{"n": 1}')
    assert len(str(caught.value).splitlines()) == 1


def test_without_the_package_the_error_names_it(monkeypatch, shell):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(MissingPackage, match=r"gptoss_magic\[schema\]"):
        gptoss_magic.generate("x", schema=Place, **ASK)


def test_rows_and_drafts_say_what_plain_decoding_says(engine):
    """One after another, many at once, and with drafts: the same tokens under the same grammar."""
    schema = {"type": "array", "items": {"enum": ["to be", "or not"]}, "maxItems": 9, "minItems": 9}
    grammar = Grammar(schema, engine.codec, engine.model.config.vocab_size)
    prompt = [*engine.codec.encode('["to be", "or not", "to be"] ' * 3), *range(20, 30)]
    channel, message = (engine.codec.special[name] for name in ("channel", "message"))
    kept = [channel, *engine.codec.encode("final"), message]
    forwards = []
    embed = engine.model.model.embed_tokens
    handle = embed.register_forward_pre_hook(lambda _, given: forwards.append(1))
    for temperature in (0, 0.8):
        plain, drafted = (
            [
                d.token_id
                for d in engine.stream(
                    prompt,
                    SamplingSettings(temperature, max_tokens=250, lookup=lookup, seed=3),
                    kept=kept,
                    grammar=grammar,
                )
            ]
            for lookup in (0, 8)
        )
        assert plain == drafted
        whole, _ = engine.codec.decode(plain).split("<|return|>")
        jsonschema.validate(json.loads(whole), schema)
        if temperature == 0:
            assert len(forwards) < 1.8 * len(plain)  # some drafts came true
    handle.remove()
    settings = [SamplingSettings(1.5, max_tokens=60, seed=n) for n in range(5)]
    requests = [BatchPrompt(prompt, chosen, grammar) for chosen in settings]
    made = [[] for _ in requests]
    for index, delta in stream_batch(engine, requests, 3):
        made[index].append(delta.token_id)
    alone = [
        [d.token_id for d in engine.stream(prompt, chosen, grammar=grammar, cold=True)]
        for chosen in settings
    ]
    assert made == alone


def followed(codec, size, schema, said, *, calls=False):
    """Feed the messages of `said`, each allowed at its place; the guide behind them."""
    guide = Grammar(schema, codec, size, calls=calls).start()
    for token in said:
        logits = torch.zeros(size)
        guide.bar(logits)
        assert logits[token] == 0, codec.decode([token])
        guide.take(token)
    return guide


def tokens_of(codec, text):
    """Ids of a text in which `<|name|>` is a special token."""
    ids = []
    for part in text.split("<|"):
        name, bar, rest = part.partition("|>")
        ids += [codec.special[name], *codec.encode(rest)] if bar else codec.encode(part)
    return ids


FINAL = (
    '<|channel|>final <|constrain|>json<|message|>{"name": "Käse 漢字",\n  "size": 12}<|return|>'
)
THOUGHT = "<|channel|>analysis<|message|>Is it {x: 1}? 🧀<|end|><|start|>assistant"
CALL = '<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}<|call|>'


def test_the_gpt_oss_tokenizer_takes_what_the_model_writes():
    codec = HarmonyCodec(RealTokenizer())
    schema = Place.model_json_schema()
    followed(codec, 201088, schema, tokens_of(codec, THOUGHT + FINAL))
    followed(codec, 201088, schema, tokens_of(codec, THOUGHT + CALL), calls=True)
    early = " to=functions.f" + CALL.replace(" to=functions.f", "")
    followed(codec, 201088, schema, tokens_of(codec, early), calls=True)
    guide = followed(codec, 201088, schema, tokens_of(codec, FINAL.partition("12")[0]))
    logits = torch.zeros(201088)
    guide.bar(logits)
    allowed = [codec.token_bytes(int(t)) for t in (logits == 0).nonzero()[:, 0]]
    assert {b"1", b"42", b"0"} <= set(allowed)
    assert not {b"123", b'"', b"-", b"<|return|>"} & set(allowed)
    with pytest.raises(AssertionError, match="comment"):
        followed(codec, 201088, schema, tokens_of(codec, CALL))
    with pytest.raises(AssertionError, match="return"):
        followed(codec, 201088, schema, tokens_of(codec, THOUGHT[:40] + "<|return|>"))
