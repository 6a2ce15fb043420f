"""MCP servers that do what the commonest ones do not: schemas, lists, results, failures."""

import json
import shlex
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCRequest, JSONRPCResponse

from gptoss_magic.agents.arguments import check_by
from gptoss_magic.agents.forms import plain
from gptoss_magic.agents.links import Program
from gptoss_magic.agents.results import text_of
from gptoss_magic.agents.servers import Server
from gptoss_magic.agents.wire import Wire
from gptoss_magic.errors import InputError
from gptoss_magic.harmony.schema import definition
from gptoss_magic.records import ToolSpec
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
from tests.shell_cells import run, tiny_shell
from tests.tool_cases import ran

SCRIPT = str(Path(__file__).parents[1] / "odd_mcp_server.py")
TEXT, NUMBER = {"type": "string"}, {"type": "number"}
ALLOWED = lambda tool, arguments, note: None  # noqa: E731


def fields(**properties):
    return {"type": "object", "properties": properties}


@contextmanager
def serving(**told):
    server = Server(Program([sys.executable, SCRIPT, json.dumps(told)]))
    try:
        yield server
    finally:
        server.close()


def listed(name, schema):
    return {"name": name, "description": name, "inputSchema": schema}


def told(schema):
    """The type of a field `a` that has `schema`, in one line."""
    written = definition(ToolSpec("f", "", plain(fields(a=schema))))
    return " ".join(written.partition("a?:")[2].partition(",\n}) =>")[0].split())


ITEM = fields(sku=TEXT, count={"type": "integer"}) | {"required": ["sku"]}


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (True, "any"),
        ({}, "any"),
        ({"type": "any"}, "any"),
        ({"not": TEXT}, "any"),
        ({"$ref": "https://example.org/x.json"}, "any"),
        ({"$ref": "#/$defs/nowhere"}, "any"),
        ({"anyOf": [True, TEXT]}, "any"),
        ({"type": "array", "items": [NUMBER, TEXT]}, "[number, string]"),
        ({"type": "array", "prefixItems": [NUMBER], "items": False}, "[number]"),
        ({"prefixItems": [NUMBER, True], "items": TEXT}, "[number, any, ...string[]]"),
        (
            {"type": "array", "items": [NUMBER], "additionalItems": TEXT},
            "[number, ...string[]]",
        ),
        ({"items": {"enum": ["a", "b"]}}, '("a" | "b")[]'),
        ({"type": "array", "items": {"type": ["string", "null"]}}, "(string | null)[]"),
        ({"type": "array", "items": {"type": "array", "items": NUMBER}}, "number[][]"),
        ({"type": "array"}, "Array<any>"),
        ({"enum": ["a", 1, None, True]}, '"a" | 1 | null | true'),
        ({"type": "integer", "enum": [1, 2]}, "1 | 2"),
        ({"const": 3}, "3"),
        ({"const": None}, "null"),
        ({"type": "string", "nullable": True}, "string | null"),
        ({"type": ["integer", "null"]}, "number | null"),
        ({"type": ["integer", "null"], "default": None}, "number"),
        ({"anyOf": [TEXT, {"type": "null"}]}, "string | null"),
        ({"anyOf": [TEXT, {"type": "null"}], "default": None}, "string"),
        ({"oneOf": [TEXT, NUMBER, TEXT]}, "string | number"),
        ({"anyOf": [TEXT, fields(b=TEXT)]}, "| string | { b?: string, }"),
        ({"type": ["string", "object"], "properties": {"b": TEXT}}, "| string | { b?: string, }"),
        ({"allOf": [{"type": "string"}], "description": "d"}, "string"),
        ({"allOf": [fields(b=TEXT), fields(c=NUMBER)]}, "{ c?: number, b?: string, }"),
        ({"properties": {"b": TEXT}, "required": ["b", "c"]}, "{ b: string, c: any, }"),
        (fields(b={**TEXT, "required": True}), "{ b: string, }"),
        (fields(b=False, c=TEXT), "{ c?: string, }"),
        ({**fields(b=TEXT), "required": None, "description": None}, "{ b?: string, }"),
        ({"type": "object", "additionalProperties": NUMBER}, "{ [key: string]: number, }"),
        ({"type": "object", "patternProperties": {"^x": TEXT}}, "{ [key: string]: string, }"),
    ],
)
def test_a_schema_is_told_as_well_as_typescript_can(schema, says):
    assert told(schema) == says


def test_references_of_every_draft_stand_in_place():
    for place in ("definitions", "$defs", "components/schemas"):
        first, _, second = place.partition("/")
        kept = {first: {second: {"I tem": ITEM}} if second else {"I tem": ITEM}}
        part = fields(a={"$ref": f"#/{place}/I%20tem", "description": "One."}) | kept
        written = definition(ToolSpec("f", "", plain(part)))
        assert "// One.\na?: " in written
        assert "sku: string,\n    count?: number," in written
    tree = fields(name=TEXT, parts={"type": "array", "items": {"$ref": "#"}})
    assert "parts?: {\n    name?: string,\n    parts?: any[],\n    }[]" in definition(
        ToolSpec("f", "", plain(tree))
    )
    assert plain({"$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}]}}, "$ref": "#/$defs/A"}) == {}


def test_references_that_repeat_each_other_end():
    twice = {
        f"n{at}": fields(
            a={"$ref": f"#/$defs/n{at + 1}"}, b={"allOf": [{"$ref": f"#/$defs/n{at + 1}"}]}
        )
        for at in range(40)
    }
    form = plain({"$ref": "#/$defs/n0", "$defs": twice})
    assert 1000 < json.dumps(form).count('"properties"') < 3000
    deep = TEXT
    for _ in range(5000):
        deep = {"type": "array", "items": deep}
    assert plain(deep) == {}


@pytest.mark.parametrize("value", [None, 3, "x", [], [[]], {"type": 5}, {"properties": None}])
def test_what_is_no_schema_is_any_wherever_it_stands(value):
    for schema in ({"a": value}, {"type": "array", "items": value}, {"oneOf": value}):
        written = definition(ToolSpec("f", "", {"type": "object", "properties": schema}))
        assert written.startswith("type f = (_: {\n")
    assert definition(ToolSpec("f", "", {"type": "object", "required": value})).endswith("any;\n\n")


@pytest.mark.parametrize(
    ("schema", "arguments", "says"),
    [
        (fields(a=TEXT), {"a": 1}, "a: 1 is not of type 'string'"),
        (fields(a=TEXT) | {"required": ["a"]}, {}, "arguments: 'a' is a required property"),
        (fields(a=TEXT) | {"required": None}, {"a": "x"}, ""),
        (fields(a=True, b=False), {"a": [1]}, ""),
        (fields(a=True, b=False), {"b": 1}, "False schema does not allow 1"),
        (fields(a={"type": "array", "items": [NUMBER]}), {"a": ["x"]}, "a.0: 'x' is not of type"),
        (
            fields(a={"prefixItems": [NUMBER], "items": False}),
            {"a": [1, 2]},
            "a: Expected at most 1 item",
        ),
        ({"anyOf": [ITEM, {"required": ["id"]}]}, {"count": 1}, "is a required property"),
        (
            fields(a={"$ref": "#/definitions/I"}) | {"definitions": {"I": ITEM}},
            {"a": {"sku": 3}},
            "a.sku: 3 is not of type 'string'",
        ),
        (fields(a={**TEXT, "nullable": True}), {"a": None}, ""),
        (fields(a={**TEXT, "required": True}), {}, "'a' is a required property"),
        (fields(a={"minimum": 3, "exclusiveMinimum": True}), {"a": 3}, "less than or equal to"),
        (fields(a={"type": "int"}), {"a": "anything"}, ""),
        (fields(a={"$ref": "https://example.org/x.json"}), {"a": 1}, ""),
        (fields(a={"type": "string", "pattern": r"\p{L}"}), {"a": "x"}, ""),
        ({}, {"a": 1}, ""),
    ],
)
def test_arguments_are_checked_against_the_same_forms(schema, arguments, says):
    check = check_by(schema)
    if not says:
        assert check(arguments) == arguments
        return
    with pytest.raises(ValueError) as caught:
        check(arguments)
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


REQUIRED_INSIDE = fields(coin=TEXT) | {"properties": {"coin": TEXT, "required": ["coin"]}}
GOOD = listed("good", fields(x=TEXT))


@pytest.mark.parametrize(
    ("tool", "says"),
    [
        (listed("price", REQUIRED_INSIDE), "price: its input schema is wrong at $.properties"),
        (listed("text", {"type": "string"}), "text: its input schema is no object"),
        (listed("never", False), "never: its input schema is no object"),
        (listed("bare", [1]), "bare: its input schema is wrong at $"),
        (listed("short", fields(a={"minLength": "3"})), "short: its input schema is wrong at"),
        (listed("go-od", fields()), ""),
        (listed("good", fields(y=TEXT)), "good: an earlier tool has the name good here"),
        (listed("", fields()), "tool 2 of its list: it has no name"),
        (listed(5, fields()), "tool 2 of its list: it has no name"),
        ("tool", "tool 2 of its list: it has no name"),
        (None, "tool 2 of its list: it has no name"),
    ],
)
def test_one_odd_tool_is_left_out_by_name_and_the_others_stay(tool, says):
    with serving(tools=[GOOD, tool, listed("last", {})]) as server:
        names = [made.name for made in server.tools()]
        assert names == (["good", "last"] if says else ["good", "go_od", "last"])
        assert len(server.left_out) == bool(says)
        assert says in "".join(server.left_out)
        good = server.tools()[0]
        assert good.function(x="y") == 'good {"x": "y"}'


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({}, "(_: {\n[key: string]: any,\n})"),
        (True, "(_: {\n[key: string]: any,\n})"),
        (None, "(_: {\n[key: string]: any,\n})"),
        (fields(), "()"),
        ({"type": "object", "properties": None}, "()"),
        ({"properties": {"x": TEXT}}, "(_: {\nx?: string,\n})"),
        ({"type": ["object", "null"], "properties": {"x": TEXT}}, "(_: {\nx?: string,\n})"),
        ({"type": "object", "oneOf": [fields(a=TEXT), fields(b=TEXT)]}, "b?: string,"),
        (fields(x=TEXT, y=TEXT) | {"anyOf": [{"required": ["x"]}, {"required": ["y"]}]}, "x: st"),
    ],
)
def test_an_input_schema_of_any_form_is_told_and_its_tool_called(schema, says):
    with serving(tools=[listed("f", schema)]) as server:
        assert server.left_out == []
        (tool,) = server.tools()
        assert says in definition(tool.spec)
        assert tool.function(**tool.check({"x": "1"})) == 'f {"x": "1"}'


def test_names_descriptions_and_pages_of_a_list():
    odd = [
        {"name": "a²", "inputSchema": fields(), "description": None, "title": "Squared"},
        {"name": "get-page", "inputSchema": fields(), "description": 5, "annotations": "x"},
        {"name": "get_page", "inputSchema": fields()},
        {"name": "no schema\n", "outputSchema": {"type": "string"}, "icons": 3},
    ]
    with serving(pages=[odd[:2], odd[2:], [GOOD]], banner="Started!") as server:
        tools = {tool.name: tool.description for tool in server.tools()}
        assert tools == {"a_": "Squared", "get_page": "", "no_schema_": "", "good": "good"}
        assert server.left_out == ["get_page: an earlier tool has the name get_page here"]
        assert [tool.function() for tool in server.tools()][1:3] == [
            "get-page {}",
            "no schema\n {}",
        ]


def test_pages_that_fail_or_come_again_end_the_list():
    with serving(pages=[[GOOD], None, [listed("lost", fields())]]) as server:
        assert [tool.name for tool in server.tools()] == ["good"]
        (line,) = server.left_out
        assert line.startswith("the list from tool 2 on: its answer is no MCP: tools: Input")
    with serving(pages=[[GOOD], "again"]) as server:
        assert [tool.name for tool in server.tools()] == ["good"]
        assert server.left_out == []


def test_arguments_that_become_http_headers_are_left_to_the_sdk():
    header = fields(region={"type": "string", "x-mcp-header": "Region"})
    wire = Wire()
    asked = SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=7, method="tools/list"))
    wire.asked(asked)
    result = {"tools": [listed("far", header), GOOD], "nextCursor": None}
    said = wire.fit(SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=7, result=result)))
    first, second = said.message.result["tools"]
    assert (first["inputSchema"], second["inputSchema"]) == (header, {"type": "object"})
    assert wire.tools == result["tools"]
    other = SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=8, result=result))
    assert wire.fit(other) is other


ACCOUNTS = {"accounts": [{"id": 7, "owner": "Ada"}], "total": 36}
PNG = {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}


def texts(*words):
    return {"content": [{"type": "text", "text": word} for word in words]}


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ({"content": [], "structuredContent": ACCOUNTS}, json.dumps(ACCOUNTS)),
        ({"structuredContent": ACCOUNTS}, json.dumps(ACCOUNTS)),
        (
            texts("36 of them") | {"structuredContent": ACCOUNTS},
            f"36 of them\n{json.dumps(ACCOUNTS)}",
        ),
        (texts(json.dumps(ACCOUNTS, indent=2)) | {"structuredContent": ACCOUNTS}, None),
        (texts("5") | {"structuredContent": {"result": 5}}, "5"),
        (texts("é") | {"structuredContent": {"result": "é"}}, "é"),
        (texts("a", "b") | {"structuredContent": {"result": ["a", "b"]}}, "a\nb"),
        ({"content": [], "structuredContent": [1, "ü"]}, '[1, "ü"]'),
        ({"content": [PNG]}, "[image, image/png, 8 bytes: not shown]"),
        ({"content": [{**PNG, "type": "audio", "mimeType": None}]}, "[audio, 8 bytes: not shown]"),
        (
            {"content": [{"type": "resource_link", "uri": "file:///a.md", "name": "a.md"}]},
            "[link: file:///a.md, a.md]",
        ),
        (
            {"content": [{"type": "resource", "resource": {"uri": "file:///a", "text": "Hi"}}]},
            "[resource: file:///a]\nHi",
        ),
        (
            {"content": [{"type": "resource", "resource": {"uri": "x:a", "blob": "AAAA"}}]},
            "[resource: x:a, 3 bytes: not shown]",
        ),
        (
            {"content": [{"type": "video", "uri": "x:v"}, *texts("ok")["content"]]},
            "[video, x:v: not shown]\nok",
        ),
        ({"content": "plain"}, "plain"),
        ({"content": {"type": "text", "text": "one"}}, "one"),
        ({"content": None}, ""),
        ({"toolResult": {"n": 1}}, '{"toolResult": {"n": 1}}'),
        ({}, ""),
    ],
)
def test_what_a_call_gives_reaches_the_model_whatever_its_form(result, says):
    says = result["content"][0]["text"] if says is None else says
    assert text_of(result) == says
    with serving(tools=[GOOD | {"outputSchema": fields(n=NUMBER)}], results={"good": result}) as s:
        assert s.tools()[0].function(x="y") == says


def test_errors_of_a_call_are_words_for_the_model():
    results = {
        "good": {"isError": True, "structuredContent": {"code": 7}},
        "mute": {"isError": True, "content": []},
    }
    tools = [GOOD, listed("mute", fields()), listed("dies", fields())]
    with serving(tools=tools, results=results, dies="dies") as server:
        script = [calling(one["name"], "{}") for one in tools]
        answer, _ = ran([*script, saying("ok")], server.tools(), ALLOWED)
    assert [step.outcome for step in answer.steps] == ["error"] * 3
    said = [step.result for step in answer.steps]
    assert said[0] == 'RuntimeError: {"code": 7}'
    assert said[1] == "RuntimeError: the tool failed without a word"
    assert said[2].startswith("RuntimeError: the MCP server ")
    assert said[2].endswith("has ended: Error: out of tokens")


# ---- in a shell


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("odd"), 2048) as shell:
        yield shell


@pytest.fixture(autouse=True)
def no_server():
    yield
    for server in current().servers.values():
        server.close()
    current().servers.clear()


def code(source):
    return [sys.executable, "-c", source]


def replying(**reply):
    return [sys.executable, SCRIPT, json.dumps({"list": reply})]


WRITES = "import sys; print('starting\\n\\x1b[31mError: API key missing\\x1b[0m', file=sys.stderr)"
NODE = (
    "import sys; sys.exit('loader:1137\\n  throw err;\\n\\nError: Cannot find module x.js\\n"
    "    at a\\n    at b {\\n  code: 1\\n}\\n\\nNode.js v22')"
)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["no-such-program-xyz", "--stdio"], "No such file or directory: 'no-such-program-xyz'"),
        (code(f"{WRITES}; sys.exit(1)"), "it wrote: Error: API key missing"),
        ([sys.executable, "-m", "no_such_server"], "No module named no_such_server"),
        (code("import no_such"), "it wrote: ModuleNotFoundError: No module named 'no_such'"),
        (code(NODE), "it wrote: Error: Cannot find module x.js · at a · Node.js v22"),
        (code("import os; os._exit(0)"), "it did not start: Connection closed"),
        ([sys.executable, SCRIPT, '{"tools": 5}'], "its answer is no MCP: tools: Input should be"),
        (replying(result=[]), "it did not start: its answer holds no object"),
        (replying(result=None), "it did not start: its answer holds no object"),
        (replying(result={}), "it did not start: its answer is no MCP: tools: Field required"),
        (replying(error="no licence"), "it did not start: no licence"),
        (replying(error={"code": "E7", "message": "no\nlicence"}), "it did not start: no licence"),
        (replying(error={"code": -32603, "message": "no licence"}), "start: no licence"),
        (["http://127.0.0.1:9/mcp"], "All connection attempts failed"),
    ],
)
def test_a_server_that_does_not_start_is_one_line_in_a_shell(shell, words, says):
    result, shown = run(shell, f"%gptoss tools mcp --yes --as bad {shlex.join(words)}")
    assert isinstance(result.error_in_exec, InputError)
    assert result.error_in_exec.__context__ is None
    assert says in str(result.error_in_exec)
    (shown_line,) = shown.strip().splitlines()
    assert shown_line == f"InputError: {result.error_in_exec}"
    assert current().servers == {}


def test_tuples_are_asked_with_and_what_is_left_out_is_shown(shell):
    case = {
        "v3": fields(box={"type": "array", "items": [NUMBER, NUMBER]}),
        "v4": fields(box={"type": "array", "prefixItems": [NUMBER], "items": False}),
        "v5": fields(x=True),
        "v6": fields(a=TEXT) | {"required": None},
    }
    tools = [listed(name, schema) for name, schema in case.items()]
    tools.append(listed("price", REQUIRED_INSIDE))
    command = f"{sys.executable} {SCRIPT} '{json.dumps({'tools': tools})}'"
    _, shown = run(shell, f"%gptoss tools mcp --yes --as s {command}")
    first, second = shown.strip().splitlines()
    assert "server s: tools v3, v4, v5, v6; each call asks" in first
    assert second.startswith("left out: price: its input schema is wrong at $.properties.required")
    run(shell, "%gptoss tools allow s")
    with scripted(current(), calling("v3", '{"box": [1, 2]}'), saying("Done.")) as engine:
        result, _ = run(shell, "%%gptoss -n -T s -o a\nHello")
        result.raise_error()
    assert "box?: [number, number]," in engine.prompt_texts[0]
    assert "box?: [number]," in engine.prompt_texts[0]
    assert shell.user_ns["a"].steps[0].result == 'v3 {"box": [1, 2]}'
    with scripted(current(), calling("v3", '{"box": ["x"]}'), saying("No.")):
        run(shell, "%%gptoss -n -T s -o a\nHello")
    assert shell.user_ns["a"].steps[0].result == "not run: box.0: 'x' is not of type 'number'"
