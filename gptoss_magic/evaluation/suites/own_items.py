"""Items of the user's own: a file of them, or held-out rows of a tuning run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError, error_line
from gptoss_magic.evaluation.numbers import plain_number, same_number, same_text
from gptoss_magic.evaluation.suite import Suite, SuiteItem, Verdict, check_items, drawn, right_if
from gptoss_magic.quoting import one_line
from gptoss_magic.textfiles import read_json_lines
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gptoss_magic.evaluation.suite import Means, Opening
    from gptoss_magic.records import Answer

    Check = Callable[[SuiteItem, str], Verdict]

QUESTIONS = ("question", "prompt")
ANSWERS = ("answer", "expected")
KEYS = (*QUESTIONS, *ANSWERS, "schema", "checker", "id", "system", "private", "kind")


def suite_of_file(path: str | Path, opening: Opening) -> Suite:
    """Items of a JSON Lines file. Raises InputError with the line that is wrong."""
    source = Path(path).expanduser()
    rows = [(f"{source.name}:{line}", row) for line, row in read_json_lines(source)]
    return suite_of_rows(source.stem, rows, opening)


def suite_of_rows(name: str, rows: Iterable[tuple[str, Any]], opening: Opening) -> Suite:
    """Items of dicts, each with the place to name in an error.

    A row has a question (or prompt) and an answer, or several as a list: a number is compared as
    one, any other text but for case, spaces and marks around it. Or a `schema` (JSON, or a name of
    the notebook) that the answer follows, with `answer` as the value it must be, where one is
    given. Or a `checker`, a function of the notebook that is given (item, final) and gives True,
    False, or words that say what is wrong.
    """
    items: list[SuiteItem] = []
    checks: dict[str, Check] = {}
    for place, row in rows:
        item, check = _read(place, row, len(items) + 1, opening.means)
        items.append(item)
        checks[item.id] = check
    check_items(name, items)

    def grade(item: SuiteItem, answer: Answer) -> Verdict:
        return checks[item.id](item, answer.final)

    return Suite(name, drawn(items, opening), grade, name, "the file's own answers")


def same_answers(final: str, answers: Sequence[str]) -> Verdict:
    """Whether `final` is one of `answers`."""
    notes = []
    for answer in answers:
        if plain_number(answer) is None:
            is_same, note = same_text(answer, final), ""
        else:
            is_same, note = same_number(answer, final)
        if is_same:
            return right_if(True)
        notes.append(note)
    return right_if(False, notes[0])


def _read(place: str, row: Any, number: int, means: Means) -> tuple[SuiteItem, Check]:
    """An item and its check. Raises InputError."""
    if not isinstance(row, dict):
        raise InputError(f"{place}: {one_line(repr(row), 60)} is no object; give a question")
    try:
        check_known("key", row, KEYS)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    question = next((row[name] for name in QUESTIONS if row.get(name)), None)
    if not isinstance(question, str) or not question.strip():
        raise InputError(f"{place}: it has no question; give one as {QUESTIONS[0]}")
    answers = next((row[name] for name in ANSWERS if row.get(name) is not None), None)
    form, check = _check(place, row, answers, means)
    item = SuiteItem(
        id=str(row.get("id", number)),
        prompt=question,
        expected=_shown(answers),
        system=str(row.get("system") or ""),
        schema=form,
        private=row.get("private") is True,
        kind=str(row.get("kind") or ""),
    )
    return item, check


def _check(place: str, row: Mapping[str, Any], answers: Any, means: Means) -> tuple[Any, Check]:
    """(the form of the answer or None, the check)."""
    if "checker" in row:
        return None, asked_checker(place, row["checker"], means)
    if "schema" in row:
        form = means.form_of(_named(place, row["schema"], means))
        return form, _follows(form, answers)
    texts = [_shown(one) for one in (answers if isinstance(answers, list) else [answers])]
    if not texts or not all(text.strip() for text in texts):
        raise InputError(f"{place}: nothing says what is right; give answer, schema or checker")
    return None, lambda _item, final: same_answers(final, texts)


def _follows(form: Any, answers: Any) -> Check:
    def check(_item: SuiteItem, final: str) -> Verdict:
        try:
            value = form.parse(final)
        except InputError as error:
            return right_if(False, str(error))
        return right_if(answers is None or value == answers, "another value")

    return check


def asked_checker(place: str, name: Any, means: Means) -> Check:
    """The check that asks a function of the notebook, given (item, final). Raises InputError.

    It gives True, False, or words that say what is wrong; what else it does is told of its item
    alone, which is wrong then.
    """
    function = _named(place, name, means)
    if not callable(function):
        raise InputError(
            f"{place}: checker {name!r} is no function of the notebook; define it with def"
        )

    def check(item: SuiteItem, final: str) -> Verdict:
        try:
            return _said(function(item, final))
        except (Exception, SystemExit) as error:  # noqa: BLE001 (a checker is anybody's code)
            return right_if(False, f"its checker failed: {error_line(error)}")

    return check


def _said(said: Any) -> Verdict:
    """What a checker said. Raises TypeError for what is neither yes nor no."""
    if isinstance(said, str):
        return right_if(False, one_line(said, 200))
    if said is None or (isinstance(said, float) and said not in (0.0, 1.0)):
        raise TypeError(f"it gave {said}, neither True nor False nor words")
    return right_if(bool(said))


def _named(place: str, given: Any, means: Means) -> Any:
    """A name of the notebook as what it names; anything else as it is."""
    if not isinstance(given, str) or not given.isidentifier():
        return given
    if given not in means.names:
        raise InputError(f"{place}: there is no {given} in the notebook; define it first")
    return means.names[given]


def _shown(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
