"""What a scripted model says to a client: it fills forms, calls a tool once, then answers."""

import json
import re

from gptoss_magic.scripted import calling, saying

TOOL = re.compile(r"^type ([\w.\-]+) = \((?:_: (.*?))?\) => any;$", re.DOTALL | re.MULTILINE)
FIELD = re.compile(r"^ {0,4}\"?([\w\-]+)\"?(\??): (.*?),(?: //.*)?$", re.MULTILINE)
FORM = re.compile(r"# Response Formats\n\n## [^\n]*\n\n(\{.*?\})<\|end\|>", re.DOTALL)
KEY = re.compile(r"[`'](\w+)[`']")
NAMED = re.compile(r"named '([^']+)'")
CALLED = re.compile(r"to=functions\.([\w.\-]+)")
VALUES = {"number": 3, "boolean": True, "any": {}}


def answering(prompt):
    """The messages of one turn."""
    _, _, last = prompt.rpartition("<|start|>user")
    form = FORM.search(prompt)
    tools = TOOL.findall(prompt)
    if form:
        filled = instance(json.loads(form[1])) or dict.fromkeys(KEY.findall(last), "Paris")
        return saying(json.dumps(filled), "I fill the form.")
    called = CALLED.findall(last)
    is_free = not called or called[-1].startswith("transfer_to_")  # to another agent
    tools = [tool for tool in tools if tool[0] not in called] if is_free else []
    if tools and "no tools" not in last.lower():
        name, fields = tools[0]
        named = next(iter(NAMED.findall(last)), "Paris")  # such as a customer's, in any letters
        filled = arguments(fields)
        filled = {key: named if value == "Paris" else value for key, value in filled.items()}
        return calling(name, json.dumps(filled, ensure_ascii=False), "A tool helps.")
    word = next(iter(re.findall(r"nonce-\w+", last)), "Paris")
    return saying(f"Hello from {word}.", "The user greets.")


def arguments(fields):
    """Values for the fields that a call needs, by their types in the definition."""
    return {name: value_of(kind) for name, maybe, kind in FIELD.findall(fields) if not maybe}


def value_of(kind):
    kind = kind.strip()
    if kind.startswith('"'):
        return json.loads(kind.split(" | ")[0])
    return [] if kind.endswith("[]") else VALUES.get(kind.split(" | ")[0], "Paris")


def instance(schema):
    """A small value of a JSON schema."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return instance(schema["anyOf"][0])
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: instance(inner) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [instance(schema.get("items", {"type": "string"}))]
    return {"integer": 3, "number": 1.5, "boolean": True, "null": None}.get(kind, "Paris")
