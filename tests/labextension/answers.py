"""Outputs as a prompt cell leaves them, and such as nobody should have written."""

import nbformat

MIME = "application/vnd.gptoss.answer+json"
EVIL = "<img src=x onerror='document.title = `owned`'><script>document.title = 'owned'</script>"
CITED = "Привет 😀, **Paris** [1] is it [7]."


def output(answer, html="<b>the HTML instead</b>"):
    data = {MIME: answer, "text/html": html, "text/plain": "the text instead"}
    return nbformat.v4.new_output("display_data", data=data)


def answer(**changes):
    """A whole one; `changes` take the place of its keys."""
    return {
        "version": 1,
        "model": "built-in",
        "prompt": "What is the capital?",
        "finish": "return",
        "note": "persona poet.",
        "analysis": f"It's easy.\n{EVIL}\n{{{{ not mine }}}}",
        "commentary": "",
        "final": f"# Title\n\n{CITED}\n\n- a\n- b `code`\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n"
        f"```python\nprint('<b>')\n```\n\n{EVIL}\n\n![pic](https://example.invalid/track.png) "
        "[bad](javascript:alert(1)) [good](https://example.org)",
        "usage": {
            "prompt_tokens": 70,
            "completion_tokens": 34,
            "analysis_tokens": 12,
            "first_token_s": 0.5,
            "analysis_s": 1.25,
            "total_s": 2.0,
            "cached_tokens": 0,
        },
        "tool_calls": [],
        "steps": [
            {
                "turn": 1,
                "name": "weather",
                "arguments": '{"city": "Paris"}',
                "outcome": "error",
                "result": f"no network {EVIL}",
                "thought": "I should look.",
                "said": "",
                "thought_s": 0.1,
                "call_s": 1.5,
                "note": "",
            }
        ],
        "passages": [
            {
                "number": 1,
                "index": "docs",
                "source": "docs/france.md",
                "heading": "Cities",
                "first_line": 3,
                "last_line": 5,
                "text": f"Paris is the capital. {EVIL}",
            }
        ],
        "citations": [
            {"text": "[1]", "start": 9 + CITED.index("[1]"), "number": 1, "valid": True},
            {"text": "[7]", "start": 9 + CITED.index("[7]"), "number": 7, "valid": False},
        ],
        "repairs": [],
        "tokens": {
            "texts": ["It", "'s", " مرحبا", "\n", "\ufffd", EVIL],
            "channels": [["analysis", 2], ["final", 99]],
            "logprobs": [-0.01, -4.2, -0.5, None],
        },
        "record": {"version": 2},
        **changes,
    }


ODD = [
    "just a text",
    [1, 2],
    {},
    {"version": 9, "final": "from the future"},
    {"version": 1, "steps": "none", "tokens": 7, "usage": []},
]
# foreign, and still to be read: wrong types everywhere, but an answer
FOREIGN = {
    "final": "Still an answer.",
    "analysis": None,
    "steps": [None, 3, {}],
    "usage": {"a": "b"},
    "tokens": {"texts": ["a", 5], "channels": "x", "logprobs": "y"},
    "citations": [{"text": ""}],
    "passages": {"number": 1},
    "tool_calls": None,
    "model": 7,
    "finish": {},
}
LONG = answer(
    steps=[],
    final="long",
    tokens={
        "texts": [f" w{n}" for n in range(10_000)],
        "channels": [["final", 10_000]],
        "logprobs": [-(n % 7) / 2 for n in range(10_000)],
    },
)
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEE"
    "lEQVR4nGP4zwAE/xkgFAAb8gP91pbyKwAAAABJRU5ErkJggg=="
)
# a piece of Python drew something: one picture, and what only calls itself one
DREW = answer(
    steps=[
        {
            "name": "python",
            "arguments": "[1, 2]",
            "result": "45",
            "figures": [PNG, f'{PNG}" onload="x()', "PHN2ZyBvbmxvYWQ9J3goKSc+", 7, None],
            "frames": [
                {"columns": ["", "town", EVIL], "rows": [["0", EVIL, "1"], "x"], "size": [50, 2]},
                {"columns": 3, "rows": {}, "size": "many"},
            ],
        }
    ],
)
