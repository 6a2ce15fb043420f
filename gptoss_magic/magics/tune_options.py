"""The options of `%%gptoss_tune` and `%%gptoss_data`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.tuning.methods import DEFAULT, METHODS, options

if TYPE_CHECKING:
    from gptoss_magic.magics.options import Option

NAME, FOLDER = "tuned", "gptoss_runs"
# option, field of TrainSettings, type, help
TRAIN = [
    (("-l", "--learning-rate"), "learning_rate", float, "peak rate; left out: the plan's choice"),
    (("-e", "--epochs"), "epochs", float, "how often each row is seen"),
    (("-n", "--steps"), "num_steps", int, "exactly so many steps; rows repeat as needed"),
    (("-t", "--step-tokens"), "step_tokens", int, "tokens of a step"),
    (("-m", "--max-tokens"), "max_tokens", int, "tokens of a sequence, at most"),
    (("-u", "--held-out"), "held_out", float, "share of the rows kept for the held-out loss"),
    (
        ("-E", "--eval-every"),
        "eval_every",
        int,
        "steps between measures of held-out loss and drift",
    ),
    (("-s", "--seed"), "seed", int, "0 where left out: runs repeat"),
]
METHOD_FIELDS = tuple(option.name for option in options())
TRAIN_FIELDS = tuple(field for _, field, _, _ in TRAIN)


def _of_methods() -> list[Option]:
    """The options of all methods; which of them a method has is told when its settings are made."""
    found: list[Option] = []
    for option in options():
        about = option.metadata
        kind = {"choices": about["choices"]} if about["choices"] else {"type": type(option.default)}
        found.append((about["flags"], {"dest": option.name, "help": about["help"], **kind}))
    return found


def _table(rows: list[tuple[tuple[str, str], str, type, str]]) -> list[Option]:
    return [
        (flags, {"dest": dest, "type": kind, "help": words}) for flags, dest, kind, words in rows
    ]


_METHODS = "; ".join(f"{name}: {method.help}" for name, method in METHODS.items())
RUNS: Option = (("-R", "--runs"), {"help": f"the folder of all runs; {FOLDER}"})
TUNE: list[Option] = [
    (("data",), {"nargs": "?", "help": "a file, or a variable of the notebook; or use the body"}),
    (("-N", "--as"), {"dest": "name", "help": f"name of run and adapter; {NAME}"}),
    (("-G", "--go"), {"action": "store_true", "help": "train; without it only the plan is shown"}),
    (
        ("-M", "--method"),
        {"choices": [*METHODS], "metavar": "METHOD", "help": f"left out: {DEFAULT}; {_METHODS}"},
    ),
    *_of_methods(),
    *_table(TRAIN),
    (("-A", "--after"), {"help": "go on from this run, replaying some of its texts"}),
    (("-p", "--replay"), {"type": float, "help": "earlier texts for each new one (0.2)"}),
    (("-w", "--own"), {"type": int, "help": "mix in so many answers of the base model itself"}),
    (("-f", "--from-conversation"), {"help": "tune on this conversation so far"}),
    (("--from-served",), {"help": "tune on answers of the endpoint: all, or ids with commas"}),
    (("-d", "--edits"), {"help": "a dict: message number to its better text"}),
    (("-F", "--fill"), {"action": "store_true", "help": "let the model reason where rows do not"}),
    (("-T", "--truncate"), {"action": "store_true", "help": "cut rows that are too long"}),
    (("-S", "--show"), {"type": int, "help": "show this example with what is trained marked"}),
    (("-L", "--like"), {"choices": ["120b", "20b"], "help": "plans for gpt-oss by its shapes"}),
    (("-k", "--card"), {"type": float, "help": "like: GB that the GPU has; 80"}),
    (("--cards",), {"metavar": "NxGB", "help": "like: so many cards, such as 8x80, by strategy"}),
    (("-X", "--axolotl"), {"help": "read the run from this Axolotl YAML; the line overrides it"}),
    (("-W", "--write-axolotl"), {"help": "write the run as Axolotl YAML"}),
    (("-c", "--resume"), {"help": "go on with this run from its newest checkpoint"}),
    (("--launch",), {"type": int, "metavar": "N", "help": "train on so many processes of its own"}),
    (
        ("--strategy",),
        {
            "choices": ["auto", "ddp", "ep", "fsdp+ep", "fsdp"],
            "help": "launch: how they share the model; auto, by what fits",
        },
    ),
    (("--nodes",), {"type": int, "metavar": "M", "help": "write: so many machines; 1"}),
    (("--write-slurm",), {"metavar": "FILE", "help": "launch: a batch script that starts the run"}),
    (("--write-skypilot",), {"metavar": "FILE", "help": "launch: a task for sky launch"}),
    (("--write-ray",), {"metavar": "FILE", "help": "launch: a script for Ray Train"}),
    (("--write-accelerate",), {"metavar": "FILE", "help": "launch: a config for accelerate"}),
    (
        ("--write-deepspeed",),
        {"metavar": "FILE", "help": "a ZeRO-3 config, for others' trainers; not of packed experts"},
    ),
    (
        ("--verify",),
        {"action": "store_true", "help": "launch: first gradients against one's"},
    ),
    (("--detach",), {"action": "store_true", "help": "launch: the run outlives this kernel"}),
    (("--release",), {"action": "store_true", "help": "launch: the model's memory is theirs"}),
    (("-b", "--background"), {"action": "store_true", "help": "give the cell back at once"}),
    (("-o", "--output"), {"help": "put the report into this variable"}),
    (("-q", "--quiet"), {"action": "store_true", "help": "show no panel"}),
    (
        ("--signal",),
        {
            "metavar": "WORD=PERSONA",
            "help": "report how often WORD calls PERSONA's way",
        },
    ),
    (
        ("--every",),
        {"type": int, "help": "steps between two looks at --suite, paired against step 0"},
    ),
    (("--suite",), {"help": "every: a suite of %%gptoss evaluate, a file or variable of items"}),
    (("--items",), {"type": int, "help": "every: of the suite, so many; 20"}),
    RUNS,
]
_OWN = " ".join(option.metadata["flags"][0] for option in options())
GROUPS = {  # of %%gptoss_tune, as its help has them together
    "rows": "-f --from-served -d -F -T -S",
    "the run": "-G -N -b -c -A -p -w -R",
    "the method": f"-M {_OWN}",
    "training": " ".join(flags[0] for flags, *_ in TRAIN),
    "what is asked between steps": "--every --suite --items --signal",
    "many processes": "--launch --strategy --verify --detach --release --nodes --write-slurm "
    "--write-skypilot --write-ray --write-accelerate --write-deepspeed",
    "plans for gpt-oss, and Axolotl's files": "-L -k --cards -X -W",
    "what is left behind": "-o -q",
}
DATA: list[Option] = [
    (("-n", "--rows"), {"type": int, "default": 20, "help": "rows wanted"}),
    (("-i", "--seeds"), {"help": "a variable or file with rows to begin with"}),
    (
        ("-T", "--from-terms"),
        {"metavar": "PERSONA", "help": "grow from this persona's terms, each in turn"},
    ),
    (
        ("--signal",),
        {"metavar": "WORD=PERSONA", "help": "in pairs: with WORD as PERSONA answers, and without"},
    ),
    (("-s", "--seed"), {"type": int, "default": 0, "help": "of the sampling"}),
    (("-t", "--temperature"), {"type": float, "default": 0.9, "help": "of proposed prompts"}),
    (("-o", "--output"), {"help": "put what has grown into this variable"}),
]
