"""What a scripted model says to a client: it fills forms, calls a tool once, then answers."""

import json
import re

from gptoss_magic.scripted import calling, saying

TOOL = re.compile(r"^type ([\w.\-]+) = \((?:_: (.*?))?\) => any;$", re.DOTALL | re.MULTILINE)
FIELD = re.compile(r"^ {0,4}\"?([\w\-]+)\"?(\??): (.*?),(?: //.*)?$", re.MULTILINE)
FORM = re.compile(r"# Response Formats\n\n## [^\n]*\n\n(\{.*?\})<\|end\|>", re.DOTALL)
VALUES = {"number": 3, "boolean": True, "any": {}}


def answering(prompt):
    """The messages of one turn."""
    _, _, last = prompt.rpartition("<|start|>user")
    form = FORM.search(prompt)
    tools = TOOL.findall(prompt)
    if form:
        return saying(json.dumps(instance(json.loads(form[1]))), "I fill the form.")
    if tools and "to=assistant" not in last and "no tools" not in last.lower():
        name, fields = tools[0]
        return calling(name, json.dumps(arguments(fields)), "A tool helps.")
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
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: instance(inner) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [instance(schema.get("items", {"type": "string"}))]
    return {"integer": 3, "number": 1.5, "boolean": True, "null": None}.get(kind, "Paris")
