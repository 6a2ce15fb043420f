"""Secrets are found wherever they stand in a notebook, and ordinary text is let be."""

import base64
import html
import json
from pathlib import Path

import pytest

from gptoss_magic.agents.persona import Persona
from gptoss_magic.errors import InputError
from gptoss_magic.session import current
from gptoss_magic.sharing.bundle.pack import share
from gptoss_magic.sharing.bundle.plan import plan_share
from gptoss_magic.sharing.bundle.secrets import SecretFinder
from tests.bundle_cases import answered, code, write

ABC = "Zk3qR8vT1xLm9wYb5nHc7pJd2sFg4tKa6uEe0iOo"
SECRETS = [
    f"client = OpenAI(api_key='sk-proj-{ABC}')",
    f"sk-ant-api03-{ABC}",
    f"hf_{ABC[:34]}",
    f"ghp_{ABC[:36]}",
    f"github_pat_{ABC}{ABC}",
    f"glpat-{ABC[:20]}",
    "AKIAIOSFODNN7EXAMPLE",
    f"AIza{ABC[:35]}",
    "xox" + f"b-123456789012-{ABC[:24]}",
    "sk_" + f"live_{ABC[:24]}",
    f"npm_{ABC[:36]}",
    f"123456789:{ABC[:35]}",
    f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{ABC}",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n",
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    "postgres://anna:hunter2@db.example.org/x",
    "redis://:p4ss@localhost:6379",
    f"https://host/api?access_token={ABC[:20]}&x=1",
    "https://host/x?email=anna.petrova@example.org",
    "https://anna.petrova%40example.org@host/",
    f"Authorization: Bearer {ABC}",
    "Authorization: Basic " + base64.b64encode(b"anna:hunter2").decode(),
    'password = "correct horse"'.replace(" horse", "horse"),
    "DB_PASSWORD='hunter2!'",
    '{"client_secret": "a1b2c3d4e5"}',
    "пароль: 'гусь1234'",
    f"%env OPENAI_API_KEY={ABC}",
    f"export MY_TOKEN={ABC}",
    f"login --token {ABC}",
    "/home/petrova/data/x.csv",
    "/Users/petrova/x",
    r"C:\Users\petrova\x",
    r"'C:\\Users\\petrova\\x'",
    "file:///home/petrova/x",
]
ORDINARY = [
    "The password must have 12 characters; the token budget is 4096.",
    "max_tokens=256, token = '<|start|>', tokenizer='gpt2', key='name', secret santa",
    "api_key='EMPTY'; api_key=os.environ['OPENAI_API_KEY']; password=getpass.getpass()",
    "password='<password>', password='${PASSWORD}', token='YOUR_TOKEN_HERE', sk-...",
    "Basic understanding of bearer bonds; Bearer authentication is explained below.",
    '<div class="sk-toggleable__content fitted sk-parallel-item"><label for="sk-estimator-id-12">',
    "https://cdn.jsdelivr.net/npm/vue@3.4.21/dist/x.js https://medium.com/@user/post",
    "git@github.com:owner/repo.git, ssh://git@github.com/owner/repo.git, write to a@b.org",
    "https://example.org/home/anna/page and /home/user/x, ~/x, /home/jovyan/work",
    "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "d41d8cd98f00b204e9800998ecf8427e 2026-11-28T22:24:50 550e8400-e29b-41d4-a716-446655440000",
    "f(key=lambda x: x[1], keys=[1, 2]); for key, value in x.items(): token: str = next(tokens)",
    "Пароль надо сменить; ключ лежит под ковриком. Токенов: 128. Секрет прост.",
    "risk-free rate, task-oriented, disk-based-retrieval-of-many-chunks-of-text",
    "hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, 12:30:45, http://localhost:8888/lab?path=a",
]


def kinds(text, environment=None):
    return [one.kind for one in SecretFinder(environment or {}).search([("here", text)])]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_found(text):
    assert kinds(text)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_let_be(text):
    assert kinds(text) == []


@pytest.mark.parametrize(
    "written",
    [
        str,
        html.escape,
        lambda text: f"<b>{text[:9]}</b><i>{text[9:]}</i>",
        lambda text: f"\x1b[31m{text[:9]}\x1b[0m{text[9:]}",
        lambda text: json.dumps({"x": text}),
    ],
    ids=["plain", "html", "tags", "colours", "json"],
)
def test_a_value_of_the_environment_is_found_however_it_is_written(written):
    value = 'a"b&c<geheim>1234567'
    text = written(value) if written is not html.escape else html.escape(value)
    if "<b>" in text:
        value = "geheimnisvoll1234567"
        text = written(value)
    assert kinds(text, {"SERVICE_TOKEN": value})[0] == "value of SERVICE_TOKEN"


def test_environment_values_that_are_no_secrets_are_let_be(tmp_path):
    environment = {
        "PWD": "/some/folder",
        "SSH_AUTH_SOCK": "agent.socket",
        "KEY_FILE": str(tmp_path),
        "TOKENIZERS_PARALLELISM": "false",
        "MAX_TOKENS": "4096",
        "PASSWORD": "****",
        "SECRET": "short",
    }
    assert kinds(" ".join(environment.values()), environment) == []
    assert kinds("x hunter2 y", {"DATABASE_URL": "mysql://u:hunter2@h/d"})
    assert kinds("x hunter2 y", {"PGPASSWORD": "hunter2"})
    assert kinds("xhunter2y", {"PGPASSWORD": "hunter2"}) == []


def test_home_and_user_are_found_and_a_name_that_is_a_word_is_not(monkeypatch):
    monkeypatch.setenv("HOME", "/srv/people/mayw")
    for name in ("LOGNAME", "USER"):
        monkeypatch.setenv(name, "mayw")
    assert kinds("read /srv/people/mayw/x.csv")[0] == "home path"
    assert kinds("mayw@laptop:~$ ls") == ["user name"]
    assert kinds("what mayw says") == []


PLACES = {
    "cell 2": lambda s: code(f"x = '{s}'"),
    "cell 2, output 1": lambda s: code("x", {"output_type": "stream", "text": [s[:9], s[9:]]}),
    "cell 2, output 2": lambda s: code(
        "x", {}, {"output_type": "error", "traceback": ["a\n", f"\x1b[0m{s}"]}
    ),
    "cell 2, metadata": lambda s: {**code("x"), "metadata": {"deep": [{"er": s}]}},
    "cell 2, attachments": lambda s: {**code("x"), "attachments": {s: {"image/png": "AAAA"}}},
    "cell 2, output 1, metadata": lambda s: code(
        "x", {"output_type": "display_data", "data": {}, "metadata": {"a": {"b": s}}}
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_each_place_of_a_notebook_is_looked_at(tmp_path, place):
    secret = f"hf_{ABC[:34]}"
    book = write(tmp_path / "a.ipynb", answered(), PLACES[place](secret))
    (found,) = plan_share(book).secrets
    assert (found.kind, found.place) == ("token of Hugging Face", place)
    assert secret not in found.shown
    with pytest.raises(InputError, match="1 things in it look secret"):
        share(tmp_path / "a.zip", book)
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]


def test_personas_and_journals_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    from gptoss_magic.turns.rows.journal import FIELDS, Journal

    secret = f"hf_{ABC[:34]}"
    current().personas["guide"] = Persona("guide", f"Use {secret}.")
    row = dict.fromkeys(FIELDS, "") | {"row": 0, "num_tokens": 1, "final": secret, "key": "k"}
    with Journal(tmp_path / "maps" / "abc") as journal:
        journal.add(row)
    layers = [{"name": "guide", "sha256": "0"}]
    persona = answered(persona={"name": "guide", "sha256": "0", "layers": layers})
    mapped = answered(map={"rows": 1, "journal": "~/maps/abc"})
    book = write(tmp_path / "a.ipynb", persona, mapped)
    plan = plan_share(book)
    assert [one.place for one in plan.secrets] == ["persona guide", "journal abc, row 0"]
    assert [part.about.kind for part in plan.parts] == ["persona", "journal"]
    assert plan.parts[0].about.note == "its text is another one than the answers had"


def test_a_picture_and_unread_tokens_are_said(tmp_path):
    picture = {"output_type": "display_data", "data": {"image/png": "AAAA"}, "metadata": {}}
    plan = plan_share(write(tmp_path / "a.ipynb", answered(), code("x", picture)))
    assert [note.split()[0] for note in plan.notes] == ["pictures", "recorded"]
    assert Path(plan.notebook).name == "a.ipynb"
