"""`%gptoss serve` in a real shell: what it says, stop, log, and tuning on what was served."""

import json
import urllib.request

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import gptoss_magic
from gptoss_magic.scripted import saying, scripted
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint


@pytest.fixture(scope="module", autouse=True)
def resident(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve") / "tiny"
    gptoss_magic.load(tiny_checkpoint(folder, max_position_embeddings=4096), context=4096)
    yield
    gptoss_magic.unload()


@pytest.fixture
def shell():
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "gptoss_magic")
    return shell


def run(shell, line):
    with capture_output() as said:
        result = shell.run_cell(f"%gptoss {line}")
    assert result.error_in_exec is None, result.error_in_exec
    return said


def refused(shell, line):
    with capture_output():
        result = shell.run_cell(f"%gptoss {line}")
    return str(result.error_in_exec)


def ask(said, words):
    lines = dict(line.strip().split("=", 1) for line in said.splitlines() if "=" in line)
    body = {"model": "tiny", "messages": [{"role": "user", "content": words}]}
    body["messages"].insert(0, {"role": "system", "content": "Be brief."})
    request = urllib.request.Request(
        f"{lines['OPENAI_BASE_URL']}/chat/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {lines['OPENAI_API_KEY']}"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_it_serves_shows_what_was_asked_and_stops(shell):
    said = run(shell, "serve --background").stdout
    assert refused(shell, "serve").startswith("it serves already at http://127.0.0.1:")
    with scripted(current(), saying("Рим.", "Столица Италии."), saying("Oslo.")):
        first = ask(said, "Столица Италии? <b>")
        ask(said, "The capital of Norway?")
    (shown,) = run(shell, "serve log").outputs
    html = shown.data["text/html"]
    assert "Столица Италии? &lt;b&gt;" in html
    assert "Рим." in html
    assert html.index("Norway") < html.index("Италии")
    run(shell, f"serve log {first['id']} -o a")
    assert shell.user_ns["a"].final == "Рим."
    assert shell.user_ns["a"].provenance["prompt_tokens"]
    assert "stopped" in run(shell, "serve stop").stdout
    assert refused(shell, "serve log").startswith("nothing is served")
    with pytest.raises(OSError, match="refused"):
        ask(said, "Anyone?")


def test_what_was_served_becomes_rows_to_tune_on(shell):
    said = run(shell, "serve -b").stdout
    with scripted(current(), saying("Рим.", "Думаю."), saying("Oslo.", "Think.")):
        ids = [ask(said, words)["id"] for words in ("Италия?", "Norway?")]
    with capture_output() as shown:
        result = shell.run_cell(f"%gptoss_tune --from-served {ids[0]} --show 0 --method lora")
    assert result.error_in_exec is None, result.error_in_exec
    text = "\n".join([shown.stdout, *(o.data.get("text/plain", "") for o in shown.outputs)])
    assert "Рим." in text
    assert "Be brief." in text
    assert "Oslo" not in text
    assert "there is none of that name" in refused_tune(shell, "--from-served chatcmpl-none")


def refused_tune(shell, line):
    with capture_output():
        result = shell.run_cell(f"%gptoss_tune {line}")
    return str(result.error_in_exec)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("serve stop", "nothing is served"),
        ("serve log", "nothing is served"),
        ("serve stop now", "now"),
        ("serve on", "there are stop and log"),
        ("serve -p 99999", "give 0 (a free one) to 65535"),
        ("serve -p x", "'x'"),
        ("serve -o a", "beside log only"),
    ],
)
def test_what_cannot_be_is_one_line(shell, line, says):
    message = refused(shell, line)
    assert says in message
    assert "\n" not in message
