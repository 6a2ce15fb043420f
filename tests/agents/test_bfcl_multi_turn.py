"""BFCL's multi-turn conversations through the tool loop: right calls pass the official check.

The calls come from a script, which has them from the data's own answers; the loop renders, parses,
runs and tells. What it ran is judged by bfcl-eval's checkers of states and responses, untouched.
"""

import ast
import json
from itertools import count
from pathlib import Path

import pytest

from gptoss_magic.agents.tools import Tool
from gptoss_magic.evaluation.suites.bfcl import _schema
from gptoss_magic.records import Message
from gptoss_magic.scripted import calling, saying
from tests.tool_cases import ran

CATEGORIES = ("base", "miss_func", "miss_param", "long_context")
EACH = 25  # of 200 conversations a category, where not all of them are asked
MORE = "I have updated some more functions you can choose from. What about now?"  # bfcl-eval's
LONG = 20_000  # tokens of a call: some carry a whole file
# the data's own right calls of this conversation use a function before it is there
EARLY = {"multi_turn_miss_func_49": {"tail"}}
RUNS = count()

bfcl_eval = pytest.importorskip("bfcl_eval")
pytest.importorskip("mpmath")
DATA = Path(bfcl_eval.__path__[0]) / "data"


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def entries(category, step):
    """(entry, its right calls by turn) of every `step`-th conversation."""
    name = f"BFCL_v4_multi_turn_{category}.json"
    pairs = zip(lines(DATA / name), lines(DATA / "possible_answer" / name), strict=True)
    for entry, wanted in list(pairs)[::step]:
        assert entry["id"] == wanted["id"]
        yield entry, wanted["ground_truth"]


class Talk:
    """One conversation: its functions, which work on the data's own classes, and what was said."""

    def __init__(self, entry):
        from bfcl_eval.constants.executable_backend_config import (
            MULTI_TURN_FUNC_DOC_FILE_MAPPING as FILES,
        )

        self.entry, self.name = entry, f"loop{next(RUNS)}"
        classes = entry["involved_classes"]
        docs = [doc for one in classes for doc in lines(DATA / "multi_turn_func_doc" / FILES[one])]
        left_out = set(entry.get("excluded_function", ()))
        self.docs = {doc["name"]: doc for doc in docs if doc["name"] not in left_out}
        self.messages, self.instances = [], {}

    def executed(self, calls, name):
        """(results, instances) of calls, on the classes as the entry begins with them."""
        from bfcl_eval.eval_checker.multi_turn_eval.multi_turn_utils import (
            execute_multi_turn_func_call,
        )

        entry = self.entry
        is_long = "long_context" in entry["id"]
        how = (entry["initial_config"], entry["involved_classes"], name, entry["id"])
        return execute_multi_turn_func_call(calls, *how, long_context=is_long)

    def tools(self, turn):
        """Those that are there in this turn; what is missing comes later."""
        later = self.entry.get("missed_function", {}).items()
        missing = {name for at, names in later if int(at) > turn for name in names}
        missing -= EARLY.get(self.entry["id"], set())
        return [self.tool(doc) for name, doc in self.docs.items() if name not in missing]

    def tool(self, doc):
        def function(**arguments):
            results, self.instances = self.executed([written(doc["name"], arguments)], self.name)
            return results[0]

        schema = _schema(doc["parameters"])
        return Tool(doc["name"], doc["description"], schema, function, "auto")

    def turn(self, number, calls):
        """The calls of a turn, run by the loop; as it ran them, written as BFCL reads them."""
        asked = self.entry["question"][number] or [{"role": "user", "content": MORE}]
        self.messages += [Message(one["role"], one["content"]) for one in asked]
        script = [calling(*self.parsed(call)) for call in calls]
        answer, _ = ran(
            [*script, saying("It is done.")],
            self.tools(number),
            messages=self.messages,
            calls=len(calls) + 1,
            max_tokens=LONG,
            tokens=LONG * (len(calls) + 1),
        )
        assert answer.final == "It is done."
        assert [step.outcome for step in answer.steps] == ["result"] * len(calls)
        self.messages += answer.messages
        return [[written(step.call.name, step.call.arguments)] for step in answer.steps]

    def parsed(self, call):
        """(name, arguments as JSON) of `f(1, b='x')`."""
        node = ast.parse(call, mode="eval").body
        names = list(self.docs[node.func.id]["parameters"]["properties"])
        given = dict(zip(names, map(ast.literal_eval, node.args), strict=False))
        given |= {one.arg: ast.literal_eval(one.value) for one in node.keywords}
        return node.func.id, json.dumps(given, ensure_ascii=False)


def written(name, arguments):
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def verdict(talk, made, wanted):
    """What bfcl-eval says of the calls of each turn; None where nothing is wrong."""
    from bfcl_eval.eval_checker.multi_turn_eval import multi_turn_checker as official

    category = talk.entry["id"].rsplit("_", 1)[0]
    said = official.multi_turn_checker(made, wanted, talk.entry, category, f"{talk.name}_checked")
    idle = official.multi_turn_irrelevance_checker(made, wanted)
    faults = [one["error_message"] for one in (said, idle) if not one["valid"]]
    if not faults and talk.instances:
        right = None
        for calls in wanted:
            _, right = talk.executed(calls, f"{talk.name}_right")
        states = official.state_checker(talk.instances, right)
        faults += [] if states["valid"] else ["the tools' own state: " + states["error_message"]]
    return faults or None


def wrong_of(category, step):
    found = {}
    for entry, wanted in entries(category, step):
        talk = Talk(entry)
        made = [talk.turn(number, calls) for number, calls in enumerate(wanted)]
        faults = verdict(talk, made, wanted)
        if faults:
            found[entry["id"]] = faults
    return found


@pytest.mark.parametrize("category", CATEGORIES)
def test_right_calls_pass_the_official_check(category):
    assert wrong_of(category, EACH) == {}


@pytest.mark.slow
@pytest.mark.parametrize("category", CATEGORIES)
def test_right_calls_of_all_conversations_pass_the_official_check(category):
    assert len(list(entries(category, 1))) == 200
    assert wrong_of(category, 1) == {}


def test_a_call_that_is_left_out_does_not_pass():
    """The check can fail: the first turn without its last call, and with another file's name."""
    (entry, wanted), *_ = entries("base", 200)
    fewer, other = wanted[0][:-1], "mv(source='previous_report.pdf', destination='temp')"
    for calls in (fewer, [*fewer, other]):
        talk = Talk(entry)
        made = [talk.turn(0, calls)]
        (fault, *_) = verdict(talk, made, wanted[:1])
        assert "does not match the state" in fault
