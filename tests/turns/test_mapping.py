"""`%%gptoss --map` and `gptoss_magic.map`: rows, errors, schemas, the journal, a killed kernel."""

import json
import resource
import signal
import subprocess
import time

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.utils.capture import capture_output
from pydantic import BaseModel

import gptoss_magic
from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.records.packed import unpack_ids, unpack_logprobs
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint
from gptoss_magic.turns.answer_schema import AnswerSchema
from gptoss_magic.turns.rows.journal import FIELDS, Journal
from gptoss_magic.turns.rows.template import RowTemplate
from tests.shell_cells import new_shell
from tests.warm import python

ASK = {"max_tokens": 12, "effort": "low", "date": "2026-01-01"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("mapping") / "tiny")


@pytest.fixture(scope="module", autouse=True)
def resident(checkpoint):
    current().unload()
    gptoss_magic.load(str(checkpoint), context=2048)
    yield
    current().unload()


@pytest.fixture
def place(tmp_path):
    return tmp_path / "journal"


def words(count):
    return pd.DataFrame({"word": [f"word {n}" for n in range(count)], "n": range(count)})


def row_record(text):
    """(record, its one call of the model) of a row's provenance."""
    record = json.loads(text)
    (call,) = record["generations"]
    return record, call


def read_all(folder):
    return pd.concat([pd.read_parquet(file) for file in sorted(folder.glob("*.parquet"))])


def test_each_row_says_what_it_says_alone(place):
    frame = words(7)
    done = gptoss_magic.map(frame, "Say {{ word }} {{ n + 1 }} times.", journal=place, **ASK)
    assert (done.rows, done.done, done.kept, done.finish) == (7, 7, 0, "return")
    journal = read_all(place).set_index("row")
    for n in range(7):
        alone = gptoss_magic.generate(f"Say word {n} {n + 1} times.", cold=True, **ASK)
        assert journal.final[n] == alone.final
        assert journal.analysis[n] == alone.analysis
        record, call = row_record(journal.provenance[n])
        assert unpack_ids(call["prompt"]) == alone.provenance["prompt_tokens"]
        assert tuple(unpack_ids(call["answer"])) == alone.raw_tokens
        assert len(unpack_logprobs(call["logprobs"])) == len(alone.raw_tokens)
        assert record["sampling"]["seed"] == n
    cut = frame.answer.isna()
    assert frame.answer_error[cut].str.contains("cut off after 12|no final", regex=True).all()
    assert frame.answer_error[~cut].isna().all()
    assert done.failed == cut.sum()


def test_a_seed_repeats_and_order_and_index_are_kept(place):
    ask = {**ASK, "temperature": 1.5, "seed": 5}
    frames = [words(6).set_index(pd.Index([3, 3, 1, 1, 0, 9])) for _ in range(2)]
    for number, frame in enumerate(frames):
        gptoss_magic.map(frame, "{{ word }}", journal=place / str(number), batch=number + 2, **ask)
    first, second = (read_all(place / str(n)).sort_values("row") for n in range(2))
    assert first.final.tolist() == second.final.tolist()
    assert len(set(first.analysis + first.final)) > 1
    assert frames[0].index.tolist() == [3, 3, 1, 1, 0, 9]
    assert frames[0].word.tolist() == words(6).word.tolist()


def test_what_is_done_is_not_asked_again(place):
    gptoss_magic.map(words(4), "{{ word }}", journal=place, **ASK)
    longer = words(6)
    again = gptoss_magic.map(longer, "{{ word }}", journal=place, **ASK)
    assert (again.kept, again.done) == (4, 6)
    other = gptoss_magic.map(words(6), "{{ word }}", journal=place, **{**ASK, "effort": "high"})
    assert other.kept == 0
    fresh = gptoss_magic.map(words(6), "{{ word }}", journal=place, new=True, **ASK)
    assert fresh.kept == 0


def test_a_failed_row_has_its_error_and_the_others_go_on(place):
    frame = pd.DataFrame({"a": [2, 0, "x" * 4000], "my column": ["p", "q", "r"]})
    gptoss_magic.map(frame, "{{ 1 / a if a is number else a }} {{ row['my column'] }}", **ASK)
    assert "ZeroDivisionError" in frame.answer_error[1]
    assert "exceed the context of 2048" in frame.answer_error[2]
    assert "ZeroDivision" not in str(frame.answer_error[0])


@pytest.fixture(autouse=True)
def own_data(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def test_an_interrupt_keeps_what_is_done_and_the_next_call_goes_on(place):
    def stop(done, total, tokens):
        if done == 3:
            raise KeyboardInterrupt

    frame = words(9)
    done = gptoss_magic.map(frame, "{{ word }}", journal=place, batch=2, on_row=stop, **ASK)
    assert (done.finish, done.done) == ("interrupt", 3)
    assert (frame.answer.notna() | frame.answer_error.notna()).sum() == 3
    rest = gptoss_magic.map(frame, "{{ word }}", journal=place, batch=2, **ASK)
    assert (rest.kept, rest.done, rest.finish) == (3, 9, "return")


KILLED = """
import sys, pandas as pd, gptoss_magic
gptoss_magic.load(sys.argv[1], context=2048)
frame = pd.DataFrame({"word": [f"word {n}" for n in range(4000)]})
gptoss_magic.map(frame, "{{ word }}", journal=sys.argv[2], max_tokens=12, date="2026-01-01",
                 on_row=lambda done, total, tokens: print(done, flush=True))
"""


def test_a_killed_process_loses_seconds_and_leaves_a_journal_that_opens(checkpoint, place):
    command = [python(), "-c", KILLED, str(checkpoint), str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        limit = time.monotonic() + 90
        while not list(place.glob("*.parquet")) and time.monotonic() < limit:
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    kept = len(read_all(place))
    assert kept > 0
    frame = pd.DataFrame({"word": [f"word {n}" for n in range(kept)]})
    again = gptoss_magic.map(frame, "{{ word }}", journal=place, max_tokens=12, date="2026-01-01")
    assert again.kept == kept


def test_a_full_disk_is_one_line_and_the_results_stay(place):
    journal = Journal(place)
    record = {**dict.fromkeys(FIELDS, "x"), "row": 1, "num_tokens": 1, "final": "y" * 10**6}
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    journal.add(record)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, old[1]))
    try:
        with pytest.raises(StorageError, match="make room"):
            journal.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert not list(place.iterdir())
    journal.flush()
    assert list(Journal(place).known) == ["x"]


def test_a_damaged_journal_is_one_line(place):
    place.mkdir()
    (place / f"{1:020d}-1.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(StorageError, match="delete it") as caught:
        gptoss_magic.map(words(1), "{{ word }}", journal=place, **ASK)
    assert len(str(caught.value).splitlines()) == 1


@given(st.lists(st.lists(st.text(max_size=5), min_size=1, max_size=4), min_size=1, max_size=5))
def test_a_journal_gives_back_what_was_put_in(tmp_path_factory, writes):
    folder = tmp_path_factory.mktemp("journal")
    for texts in writes:
        with Journal(folder) as journal:
            for text in texts:
                plain = {**dict.fromkeys(FIELDS, text), "row": 3, "num_tokens": 2, "error": None}
                journal.add({**plain, "key": text})
                journal.flush()
    known = Journal(folder).known
    assert set(known) == {text for texts in writes for text in texts}
    assert all(record["final"] == key and record["error"] is None for key, record in known.items())
    assert len(list(folder.iterdir())) == len(writes)


class Place(BaseModel):
    name: str
    size: int


@pytest.mark.parametrize("schema", [Place, Place.model_json_schema()])
def test_a_schema_checks_answers(schema):
    made = AnswerSchema(schema)
    assert made.parse('```json\n{"name": "a", "size": 3}\n```') == {"name": "a", "size": 3}
    with pytest.raises(InputError, match=r"\$\.size"):
        made.parse('{"name": "a", "size": "three"}')
    with pytest.raises(InputError, match="not JSON"):
        made.parse("a, 3")


def test_a_schema_reaches_the_prompt_and_what_is_cut_off_is_an_error(place):
    frame = words(2)
    gptoss_magic.map(frame, "{{ word }}", schema=Place, journal=place, **ASK)
    assert frame.answer_error.notna().all()
    _, call = row_record(read_all(place).provenance.iloc[0])
    codec, prompt_ids = current().codec, unpack_ids(call["prompt"])
    text = b"".join(codec.token_bytes(t) for t in prompt_ids if t > 7).decode()
    assert "# Response Formats\n\n## Place\n\n{" in text


def test_rows_with_a_schema_fail_by_their_length_alone(place):
    frame = words(12)
    how = {**ASK, "max_tokens": 150, "temperature": 1.5}
    small = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9}}}
    small |= {"required": ["n"], "additionalProperties": False}
    gptoss_magic.map(frame, "{{ word }}", schema=small, journal=place, **how)
    good = frame.answer_error.isna()
    assert good.sum() > 3
    assert all(type(value["n"]) is int for value in frame.answer[good])
    assert frame.answer_error[~good].str.contains("cut off").all()


def test_templates_read_values_and_no_more():
    made = RowTemplate(
        "{{ a }}{% if row['b c'] %} {{ shout(a) }}{% endif %}",
        ["a", "b c"],
        {"shout": str.upper, "a": "hidden by the column"},
    )
    assert made.render(["{{ x }}", 1]) == "{{ x }} {{ X }}"
    assert made.render(["y", 0]) == "y"
    with pytest.raises(InputError, match="empty"):
        made.render(["", 0])
    with pytest.raises(InputError, match="SecurityError"):
        RowTemplate("{{ a.__class__.__mro__ }}", ["a"], {}).render(["x"])
    with pytest.raises(InputError, match="the columns are a, b"):
        RowTemplate("{{ c }}", ["a", "b"], {})
    with pytest.raises(InputError, match="line 1"):
        RowTemplate("{% if %}", ["a"], {})


def test_what_is_no_frame_is_refused():
    with pytest.raises(InputError, match="DataFrame"):
        gptoss_magic.map([{"a": 1}], "x", **ASK)
    with pytest.raises(InputError, match="batch 0"):
        gptoss_magic.map(words(1), "x", batch=0, **ASK)
    empty = words(0)
    assert gptoss_magic.map(empty, "{{ word }}", **ASK).rows == 0
    assert "answer" in empty


@pytest.fixture(scope="module")
def shell():
    shell = new_shell()
    yield shell
    shell.clear_instance()


def run(shell, source):
    with capture_output() as captured:
        result = shell.run_cell(source)
    return result, captured.stdout + captured.stderr


def test_the_cell_fills_the_frame_and_says_what_it_did(shell, place):
    shell.user_ns.update(df=words(5), Place=Place)
    line = f"%%gptoss --map df --into said -m 12 -o mapped --journal {place}\n"
    result, shown = run(shell, line + "Say {{ word }}.")
    assert result.success
    assert "5 of 5 rows" in shown
    assert len(shown.strip().splitlines()) == 1
    frame = shell.user_ns["df"]
    assert (frame.said.notna() | frame.said_error.notna()).all()
    assert shell.user_ns["mapped"].rows == 5
    assert "5 of them from the journal" in run(shell, line + "Say {{ word }}.")[1]
    result, shown = run(shell, "%%gptoss --map nothing\n{{ word }}")
    assert isinstance(result.error_in_exec, InputError)
    result, _ = run(shell, "%%gptoss --map df --tool print\n{{ word }}")
    assert "leave --tool out" in str(result.error_in_exec)


def test_the_default_journal_lies_in_the_users_data(tmp_path):
    done = gptoss_magic.map(words(1), "{{ word }}", **ASK)
    assert done.journal.startswith(str(tmp_path / "data"))


def test_a_column_of_the_user_is_never_lost(place):
    frame = words(3).assign(answer=["gold", None, "more"])
    before = frame.copy()
    for into in ("answer", "word"):
        with pytest.raises(InputError, match=f"column '{into}' that no map wrote.*--into"):
            gptoss_magic.map(frame, "{{ word }}", into=into, journal=place, **ASK)
    pd.testing.assert_frame_equal(frame, before)
    frame = words(2).assign(reply_error="mine")
    with pytest.raises(InputError, match="'reply_error' that no map wrote"):
        gptoss_magic.map(frame, "{{ word }}", into="reply", journal=place, **ASK)
    assert list(frame.columns) == ["word", "n", "reply_error"]
    assert not place.exists()


def test_a_map_s_own_columns_are_filled_again_unless_they_were_changed(place):
    frame = words(3)
    gptoss_magic.map(frame, "{{ word }}", journal=place, **ASK)
    gptoss_magic.map(frame, "Say {{ word }}", journal=place, **ASK)
    copied = frame.copy()
    gptoss_magic.map(copied, "{{ word }}", journal=place, **ASK)
    copied.loc[1, "answer"] = "by hand"
    with pytest.raises(InputError, match="or that was changed since"):
        gptoss_magic.map(copied, "{{ word }}", journal=place, **ASK)
    assert copied.answer[1] == "by hand"


def test_rows_that_were_added_are_asked_beside_those_that_are_done(place):
    frame = words(3)
    gptoss_magic.map(frame, "{{ word }}", journal=place, **ASK)
    longer = pd.concat([frame, pd.DataFrame({"word": ["more"], "n": [9]})], ignore_index=True)
    assert gptoss_magic.map(longer, "{{ word }}", journal=place, **ASK).kept == 3
    gold = words(3).assign(answer=["gold"] * 3)
    with pytest.raises(InputError, match="no map wrote"):
        gptoss_magic.map(gold, "{{ word }}", journal=place, **ASK)
    assert list(gold.answer) == ["gold"] * 3


def test_a_new_start_forgets_this_map_alone(place):
    for folder in (None, place):
        gptoss_magic.map(words(4), "{{ word }}", journal=folder, **ASK)
        gptoss_magic.map(words(2), "Other {{ word }}", journal=folder, new=True, **ASK)
        assert gptoss_magic.map(words(4), "{{ word }}", journal=folder, **ASK).kept == 4
    foreign = place / "mine.parquet"
    words(2).to_parquet(foreign)
    assert gptoss_magic.map(words(4), "{{ word }}", journal=place, new=True, **ASK).kept == 0
    assert len(pd.read_parquet(foreign)) == 2
    assert gptoss_magic.map(words(2), "Other {{ word }}", journal=place, **ASK).kept == 2


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])),
        pd.DataFrame([[1, 2]], columns=["word", "word"]),
        pd.DataFrame([[1, 2]], columns=["1", 1]),
        pd.Series(["a"]),
        [{"word": 1}],
    ],
    ids=["levels", "twice", "alike", "series", "list"],
)
def test_what_cannot_be_mapped_is_refused_before_the_start(frame, place):
    with pytest.raises(InputError, match=r"levels|two columns|give a pandas DataFrame"):
        gptoss_magic.map(frame, "Hello", journal=place, **ASK)
    assert not place.exists()


@pytest.mark.parametrize("value", [None, float("nan"), pd.NA, pd.NaT])
@pytest.mark.parametrize(
    "text", ["{{ x }}", "{{ x | upper }}", "{{ 'x: ' ~ x }}", "{{ row['x'] }}"]
)
def test_a_missing_value_is_its_row_s_error(value, text):
    with pytest.raises(InputError, match=r"'x' has no value in this row; write \{\{ x or '' }}"):
        RowTemplate(text, ["x"], {}).render([value])


@pytest.mark.parametrize("value", [None, float("nan"), pd.NA, pd.NaT])
def test_a_template_can_ask_whether_a_value_is_missing(value):
    text = "{{ x or 'no' }} {{ x | default('none') }} {% if x is none %}empty{% endif %}"
    assert RowTemplate(text, ["x"], {}).render([value]) == "no none empty"
    assert RowTemplate(text, ["x"], {}).render([0.0]) == "no 0.0"


def test_a_column_called_row_is_that_column_and_braces_can_be_text():
    assert RowTemplate("{{ row }}", ["row", "a"], {}).render(["r", 1]) == "r"
    raw = r"\frac{% raw %}{{1}}{{2}}{% endraw %} {{ a }}"
    assert RowTemplate(raw, ["a"], {}).render([3]) == r"\frac{{1}}{{2}} 3"
    with pytest.raises(InputError, match="% raw %"):
        RowTemplate("${{ secrets.TOKEN }}", ["a"], {})
