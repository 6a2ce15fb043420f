"""The commands of `%gptoss` that need no module of their own: options, and parsers by name."""

from __future__ import annotations

from gptoss_magic.magics import options as opt

LOAD: list[opt.Option] = [
    (
        ("model",),
        {"nargs": "?", "metavar": "MODEL", "help": "built-in, a directory, or a hub name"},
    ),
    (("-D", "--device"), {"default": "", "help": "cpu, cuda, cuda:1, or auto (all GPUs)"}),
    (("-C", "--context"), {"type": int, "default": 0, "help": "tokens of context to plan for"}),
    (("-r", "--revision"), {"help": "a hub revision"}),
    (("-O", "--offline"), {"action": "store_true", "help": "never ask the network"}),
    (("-R", "--replace"), {"action": "store_true", "help": "unload another model first"}),
]
PLAIN = {
    "load": opt.parser(
        "%gptoss load",
        LOAD,
        "Load a model once for this kernel; no MODEL: the one that fits here.",
        [
            "%gptoss load",
            "%gptoss load built-in",
            "%gptoss load openai/gpt-oss-20b -D cuda:1 --replace",
        ],
    ),
    "status": opt.parser(
        "%gptoss status",
        [],
        "Model, device, memory, context, conversations, last speed.",
        ["%gptoss status"],
    ),
    "bench": opt.parser(
        "%gptoss bench",
        [],
        "Speed of the loaded model on this machine, as a Markdown table.",
        ["%gptoss bench"],
    ),
    "unload": opt.parser("%gptoss unload", [], "Free the memory.", ["%gptoss unload"]),
    "traceback": opt.parser(
        "%gptoss traceback", [], "The whole traceback of the last error.", ["%gptoss traceback"]
    ),
}
