"""inspect-ai and lm-eval on the model of this process, beside our own runner on the same items.

A scripted engine, for the scores; then a tiny model that answers greedily, for the tokens. The
folder given takes logs and tasks.
"""

import json
import re
import sys
from pathlib import Path

import inspect_ai
import lm_eval
from here import fault_of, speaking, weather
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import includes, match
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import tool as as_tool
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager

import gptoss_magic
import gptoss_magic.neighbours.inspect_ai  # what its entry point loads, where it is installed
from gptoss_magic.evaluation.suite import SuiteItem
from gptoss_magic.neighbours.lm_eval import GptOssLM
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
from gptoss_magic.studies.arms import read_arms
from gptoss_magic.studies.asks import request_of
from gptoss_magic.turns.many import answer_all
from gptoss_magic.turns.prompt import ids_of

DATE = "2025-08-05"
folder = Path(sys.argv[1])
asked = re.compile(r"What is (\d+) \+ 1\?")
rows = [{"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(20)]
told = {}


def knows(prompt):
    number = int(asked.findall(prompt)[-1])
    return saying(str(number + 1 if number % 3 else 0), "Add one.")


def inspected(scorer, samples, config=None, solver=(), **how):
    task = inspect_ai.Task(dataset=samples, solver=[*solver, generate()], scorer=scorer)
    model = get_model("gptoss/base", config=config or GenerateConfig(), memoize=False, **how)
    (log,) = inspect_ai.eval(task, model=model, display="none", log_dir=str(folder))
    assert log.status == "success", log.error
    return log


samples = [Sample(input=row["question"], target=row["answer"]) for row in rows]
(folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
(folder / "sums.yaml").write_text(
    f"""task: sums
output_type: generate_until
dataset_path: json
dataset_kwargs:
  data_files: {{test: {folder / "rows.jsonl"}}}
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 64, do_sample: false}}
metric_list: [{{metric: exact_match}}]
"""
)


def evaluated(lm, **how):
    tasks = TaskManager(include_path=str(folder), include_defaults=False)
    return lm_eval.simple_evaluate(
        model=lm, tasks=["sums"], task_manager=tasks, bootstrap_iters=0, **how
    )


with speaking():
    pass
with scripted(current(), always=knows):
    ours = gptoss_magic.evaluate(data=rows, journal=folder / "journal")
    log = inspected(match("exact"), samples)
    told["inspect"] = log.results.scores[0].metrics["accuracy"].value
    first = log.samples[0].output
    told["parts"] = [part.type for part in first.message.content]
    told["usage"] = first.usage.output_tokens == ours.attempts[0].num_tokens
    told["lm-eval"] = evaluated(GptOssLM())["results"]["sums"]["exact_match,none"]
    chat = evaluated(GptOssLM(), apply_chat_template=True)
    told["chat"] = chat["results"]["sums"]["exact_match,none"]
    told["ours"] = ours.scores[0].score


@as_tool
def inspect_weather():
    async def execute(city: str):
        """Tells the weather.

        Args:
            city: Where.
        """
        return weather(city)

    return execute


with speaking(calling("inspect_weather", '{"city": "Омск"}', "Смотрю."), saying("Солнце в Омск")):
    log = inspected(
        includes(),
        [Sample(input="Погода?", target="Солнце")],
        solver=[use_tools(inspect_weather())],
    )
    told["tool"] = [message.role for message in log.samples[0].messages]

greedy = {"temperature": 0.0, "max_tokens": 24}
(base,) = read_arms("base")
plain = base.settled(date=DATE, **greedy)
requests = [
    request_of(plain, SuiteItem(str(n), row["question"]), 0) for n, row in enumerate(rows[:6])
]
answers = answer_all(requests)
config = GenerateConfig(**greedy)
log = inspected(match("exact"), samples[:6], config, date=DATE)
turns = [current().conversations.get(sample.output.message.id) for sample in log.samples]
told["same tokens"] = [
    turn.answer_ids == a.raw_tokens for turn, a in zip(turns, answers, strict=True)
]
told["same prompts"] = [
    list(t.prompt_ids) == ids_of(r) for t, r in zip(turns, requests, strict=True)
]
lm = GptOssLM(date=DATE, max_tokens=24)
how = {"until": [], "max_gen_toks": 24, "do_sample": False}
instances = [
    Instance("generate_until", {}, (row["question"], how), n) for n, row in enumerate(rows[:6])
]
told["same texts"] = lm.generate_until(instances) == [answer.final for answer in answers]
contexts = [lm._asked(row["question"], how).request for row in rows[:6]]
told["lm-eval's prompts"] = [
    ids_of(a) == ids_of(b) for a, b in zip(contexts, requests, strict=True)
]
choices = [Instance("loglikelihood", {}, (rows[0]["question"], text), 0) for text in (" 1", " сто")]
scores = lm.loglikelihood(choices)
engine, codec = current().local_engine, current().codec
final = [codec.special["channel"], *codec.encode("final"), codec.special["message"]]
alone = [sum(engine.score([*ids_of(requests[0]), *final], codec.encode(t))) for t in ("1", "сто")]
told["choices"] = [abs(a - b) < 1e-3 for (a, _), b in zip(scores, alone, strict=True)]
told["faults"] = [
    fault_of(lambda: get_model("gptoss/base", memoize=False, colour="red")),
    fault_of(lambda: lm.loglikelihood_rolling([])),
    fault_of(lambda: GptOssLM("gpt-4").generate_until(instances)),
    fault_of(lambda: GptOssLM(thinks=True, max_tokens=4).loglikelihood(choices)),
]
print()
print(json.dumps(told))
