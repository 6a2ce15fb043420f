"""Nothing that the user made is written over or removed without being asked."""

import json
import resource
from contextlib import contextmanager

import lancedb
import pandas as pd
import pytest

from gptoss_magic.adapters.write import is_adapter
from gptoss_magic.atomic import NewLines, whole_file
from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.magics import defaults, presets
from gptoss_magic.magics.panel import Bound
from gptoss_magic.scripted import saying, scripted
from gptoss_magic.session import current
from gptoss_magic.tuning.checkpoints import latest_checkpoint
from gptoss_magic.turns.rows.journal import FIELDS, Journal
from gptoss_magic.turns.stopping import WORK
from tests.shell_cells import run, tiny_shell


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("own"), 2048) as shell:
        yield shell


@pytest.fixture
def shell(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tiny


@pytest.fixture
def magics(shell):
    return shell.magics_manager.registry["GptOssMagics"]


@contextmanager
def full_disk(size=0):
    """No file may grow beyond `size` bytes; for the writing alone."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_preset_is_written_over_when_that_is_said(shell, magics):
    defaults.put(magics, "temperature", 0.25)
    assert run(shell, "%gptoss panel --save mine")[0].success
    assert run(shell, "%gptoss panel --save mine")[0].success  # the same settings
    defaults.put(magics, "temperature", 0.75)
    result, shown = run(shell, "%gptoss panel --save mine")
    assert not result.success
    assert "there is one, of other settings; --force writes over it" in shown
    assert presets.load("mine")["temperature"] == 0.25
    assert run(shell, "%gptoss panel --save mine --force")[0].success
    assert presets.load("mine")["temperature"] == 0.75
    assert "means something beside --save only" in run(shell, "%gptoss panel --force")[1]


def test_the_panel_s_save_asks_once_more(magics):
    bound, said = Bound(magics), []
    bound.panel.say = said.append
    presets.save("mine", {"temperature": 0.1})
    bound.hear({"op": "save", "name": "mine"})
    assert said[-1] == "There is a preset mine of other settings: Save again writes over it."
    bound.hear({"op": "save", "name": "other"})
    bound.hear({"op": "save", "name": "mine"})
    assert presets.load("mine") == {"temperature": 0.1}
    bound.hear({"op": "save", "name": "mine"})
    assert said[-1] == "Preset mine saved."
    assert presets.load("mine") == presets.load("other")
    bound.unbind()


def test_an_unloaded_extension_s_panel_follows_nothing(shell, magics):
    magics.panel = bound = Bound(magics)
    told = []
    bound.refresh = lambda: told.append(1)
    shell.run_line_magic("unload_ext", "gptoss_magic")
    magics.top_k = magics.top_k + 1
    with WORK.doing("work"):
        pass
    assert told == []
    assert magics.panel is None
    shell.run_line_magic("load_ext", "gptoss_magic")


LOST = ["frame = pd.DataFrame({'a': [1]})", "import json as frame", "def frame(): pass"]


@pytest.mark.parametrize("made", [*LOST, "class frame: pass", "frame = pd.Series([1]).to_numpy()"])
def test_an_output_takes_no_place_of_what_was_imported_defined_or_read(shell, made):
    shell.run_cell("import pandas as pd\n" + made)
    before = shell.user_ns["frame"]
    with scripted(current(), saying("Yes.")) as engine:
        result, shown = run(shell, "%%gptoss -n -o frame\nHello")
    assert not result.success
    assert "would be lost: give another name, or `del frame` first" in shown
    assert engine.prompts == []
    assert shell.user_ns["frame"] is before


@pytest.mark.parametrize("made", ["told = None", "told = 'text'", "told = [1]", "del told", ""])
def test_an_output_is_an_assignment(shell, made):
    shell.user_ns["told"] = 1
    shell.run_cell(made)
    for _ in range(2):  # an answer makes room for the next one
        with scripted(current(), saying("Yes.")):
            run(shell, "%%gptoss -n -q -o told\nHello")[0].raise_error()
        assert shell.user_ns["told"].final == "Yes."


def test_an_output_is_not_what_the_line_reads(shell):
    shell.user_ns["form"] = {"type": "object"}
    result, shown = run(shell, "%%gptoss -S form -o form\nHello")
    assert not result.success
    assert "-o form: the line reads form" in shown
    assert shell.user_ns["form"] == {"type": "object"}


ROW = {**dict.fromkeys(FIELDS, ""), "row": 0, "num_tokens": 1}


def record(key):
    return ROW | {"key": key}


def test_a_journal_forgets_nothing_that_another_kernel_writes_meanwhile(tmp_path):
    with Journal(tmp_path) as mine:
        mine.add(record("a"))
    again = Journal(tmp_path)
    with Journal(tmp_path) as other:
        other.add(record("b"))
    again.forget({"a"})
    assert set(Journal(tmp_path).known) == {"b"}


def test_a_journal_that_cannot_be_merged_stays_in_pieces(tmp_path):
    journal = Journal(tmp_path)
    for key in "ab":
        journal.add(record(key))
        journal.flush()
    with full_disk(), journal:
        pass
    assert set(Journal(tmp_path).known) == {"a", "b"}


def test_a_frame_s_own_attributes_stay(shell):
    frame = pd.DataFrame({"q": ["a"]})
    frame.attrs = {"gptoss_magic": "mine", "source": {"page": 3}}
    shell.user_ns["table"] = frame
    for _ in range(2):
        run(shell, "%%gptoss --map table -t 0 -m 2\n{{ q }}")[0].raise_error()
    assert frame.attrs == {"gptoss_magic": "mine", "source": {"page": 3}}
    assert list(frame.columns) == ["q", "answer", "answer_error"]


def test_a_copy_of_a_checkpoint_is_the_user_s(tmp_path):
    for name in ("checkpoint-000002", "checkpoint-000002-best", "checkpoint-000009-copy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.json").write_text("{}")
    assert latest_checkpoint(tmp_path).name == "checkpoint-000002"


def test_an_adapter_s_folder_with_notes_is_not_replaced(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    assert is_adapter(tmp_path)
    (tmp_path / "README.md").write_text("what I found")
    assert not is_adapter(tmp_path)


def test_what_is_exported_anew_is_whole_or_as_before(shell, tmp_path):
    run(shell, "%%gptoss_persona pirate\nTalk like a pirate.")[0].raise_error()
    (tmp_path / "real.md").write_text("mine")
    (tmp_path / "link.md").symlink_to(tmp_path / "real.md")
    with full_disk(4):
        result, shown = run(shell, "%gptoss persona export pirate link.md --force")
    assert not result.success
    assert "not written" in shown
    assert (tmp_path / "real.md").read_text() == "mine"
    run(shell, "%gptoss persona export pirate link.md --force")[0].raise_error()
    assert (tmp_path / "link.md").is_symlink()
    assert "pirate" in (tmp_path / "real.md").read_text()


def test_new_lines_are_whole_and_an_empty_file_goes(tmp_path):
    path = tmp_path / "rows.jsonl"
    with pytest.raises(KeyError), NewLines(path):
        raise KeyError
    assert not path.exists()
    with NewLines(path) as file:
        file.add("one")
        with pytest.raises(StorageError, match="1 lines are there"), full_disk(6):
            file.add("another")
    assert path.read_text() == "one\n"
    with pytest.raises(InputError, match="is there already"):
        NewLines(path)


def test_questions_that_come_to_nothing_leave_no_file(shell, tmp_path):
    (tmp_path / "a.md").write_text("# Cats\n\n" + "Cats sleep for many hours every day. " * 10)
    run(shell, "%gptoss index a.md --as cats -E words")[0].raise_error()
    with scripted(current(), lambda prompt: 1 / 0):
        result, _ = run(shell, "%gptoss evaluate questions cats -o q.jsonl")
    assert not result.success
    assert not (tmp_path / "q.jsonl").exists()
    with scripted(current(), *[saying("How long do cats sleep every day?")] * 2):
        run(shell, "%gptoss evaluate questions cats -o q.jsonl")[0].raise_error()
    rows = [json.loads(line) for line in (tmp_path / "q.jsonl").read_text().splitlines()]
    assert [row["question"] for row in rows] == ["How long do cats sleep every day?"]


def test_two_folders_of_one_name_do_not_share_an_index_unasked(shell, tmp_path):
    for place in ("one", "two"):
        (tmp_path / place / "docs").mkdir(parents=True)
        (tmp_path / place / "docs" / "a.md").write_text(f"The {place} text.")
    assert run(shell, "%gptoss index one/docs -E words")[0].success
    assert run(shell, "%gptoss index one/docs -E words")[0].success
    result, shown = run(shell, "%gptoss index two/docs -E words")
    assert not result.success
    assert "--as docs adds to it" in shown
    assert "2 files" not in run(shell, "%gptoss index info docs")[1]
    assert run(shell, "%gptoss index two/docs --as docs -E words")[0].success


def test_a_table_of_others_is_not_dropped(shell, tmp_path):
    table = lancedb.connect(str(tmp_path / "db")).create_table("mine", [{"a": 1}])
    result, shown = run(shell, "%gptoss index drop ./db/mine")
    assert not result.success
    assert "did not make; it stays" in shown
    assert table.count_rows() == 1


def test_a_file_keeps_what_it_was_where_the_disk_is_full(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("one")
    with pytest.raises(StorageError, match="not written"), full_disk(3), whole_file(target) as room:
        room.write_text("another")
    assert target.read_text() == "one"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
