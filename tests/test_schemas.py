"""Answers that follow a schema: 200 generated ones on a random model, and each way to generate."""

import json
import random
import sys
from enum import Enum
from functools import cache
from typing import Literal

import jsonschema
import pytest
import torch
from pydantic import BaseModel, Field, create_model, field_validator

import gptoss_magic
from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.generation import Engine, Grammar, Request, SamplingSettings, stream_batch
from gptoss_magic.harmony import HarmonyCodec, parse
from gptoss_magic.mapping.schema import AnswerSchema
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint, tiny_model
from tests.harmony_reference import RealTokenizer
from tests.shell_cells import run, tiny_shell

ASK = {"effort": "low", "date": "2026-01-01"}


@pytest.fixture(scope="module")
def engine():
    model, tokenizer = tiny_model(num_hidden_layers=1, max_position_embeddings=4096)
    return Engine(model, HarmonyCodec(tokenizer), 4096, 10**9)


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
        Request(
            [8 + n % 256, *range(20, 60)],
            SamplingSettings(temperature=1.5, max_tokens=450, seed=n),
            Grammar(schema.schema, engine.codec, size),
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
        assert schemas[n].model is None or isinstance(value, schemas[n].model)
        thoughts += bool(before)
    assert thoughts > 20  # analysis was free, and came to its end
