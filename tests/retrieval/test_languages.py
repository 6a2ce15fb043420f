"""Search in Russian, Chinese, Japanese and Arabic: forms of words, scripts without spaces."""

import unicodedata
from itertools import combinations

import pytest

from benchmarks.__main__ import FIGURES
from benchmarks.languages import LANGUAGES, indexed, pairs, recall
from gptoss_magic.records import Passage
from gptoss_magic.retrieval import store
from gptoss_magic.retrieval.embedders import Words
from gptoss_magic.retrieval.folding import asked_words, searchable
from gptoss_magic.retrieval.index import Index
from gptoss_magic.retrieval.memory import Item, Memory
from gptoss_magic.retrieval.support import support
from gptoss_magic.stems import arabic_stems, russian_stem, snowball

SCRIPTS = {"en": "LATIN", "ru": "CYRILLIC", "zh": "CJK", "ja": "HIRAGANA", "ar": "ARABIC"}
# of the sample vocabulary on snowballstem.org: a stem, and words that have it
SNOWBALL = """
в: в
вавиловк: вавиловка
вагнер: вагнера
вагон: вагон вагона вагоне вагонов вагоном вагоны
важн: важная важнее важнейшие важнейшими важно важного важное важной важном важную важны важных
важнича: важничал
важност: важности важностию важность важностью
ваз: вазах вазы
вакс: вакса
валанда: валандался
валентин: валентина
валер: валерию
валерианов: валериановых
валет: валетами
па: па
павильон: павильон павильонам
павлин: павлиний павлиньи павлиньим
павловн: павловна павловне павловной павловну павловны
пада: падает падай падал падала падать падаю падают падающего падающие
падал: падаль
падеж: падеж
паден: падение падением падении падений падения паденье паденья
падет: падет
падуч: падучая
падчериц: падчерица падчерицы
падш: падшая
"""
ARABIC = [
    ("المكتبة", "مكتبة"),
    ("والمكتبات", "مكتبة"),
    ("للسائق", "السائقين"),
    ("الحافلات", "حافلة"),
    ("أسبوع", "اسبوع"),
    ("سُورَةٌ", "سورة"),
    ("كتاب", "الكتب"),
    ("جرائد", "الجريدة"),
    ("قوارب", "القارب"),
]


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request):
    return request.param


@pytest.fixture(scope="module")
def index(language, tmp_path_factory):
    return indexed(tmp_path_factory.mktemp(language), language)


def test_a_set_has_its_language_and_no_document_twice(language):
    held = pairs(language)
    assert len({document for document, _ in held}) == len({q for _, q in held}) == len(held) >= 40
    letters = {unicodedata.name(letter).split()[0].split("-")[0] for _, q in held for letter in q}
    assert SCRIPTS[language] in letters
    assert f"recall_at_5_{language}" in FIGURES


# of words alone, of words and vectors
FLOORS = {
    "en": (0.95, 0.95),
    "ru": (0.97, 0.97),
    "zh": (0.95, 0.95),
    "ja": (0.97, 0.97),
    "ar": (0.95, 0.97),
}


def test_questions_find_their_document(index, language):
    words, both = FLOORS[language]
    assert recall(index, language, "words") >= words
    assert recall(index, language) >= both


def test_russian_stems_are_those_of_snowball():
    for line in SNOWBALL.strip().splitlines():
        stem, _, words = line.partition(": ")
        assert {snowball(word) for word in words.split()} == {stem}
    assert russian_stem("ёлка") == russian_stem("елки")
    assert russian_stem("рынок") == russian_stem("рынка") != russian_stem("рынды")


@pytest.mark.parametrize(("one", "other"), ARABIC)
def test_forms_of_an_arabic_word_share_a_stem(one, other):
    assert set(arabic_stems(one)) & set(arabic_stems(other))


def test_other_arabic_words_share_none():
    words = ["مكتبة", "حافلة", "سمك", "جسر", "برج", "رسالة", "نجوم", "مسرح", "زجاج", "كلب"]
    assert len({stem for word in words for stem in arabic_stems(word)}) >= len(words)
    for one, other in combinations(words, 2):
        assert not set(arabic_stems(one)) & set(arabic_stems(other))


def test_what_is_indexed_of_each_script():
    assert searchable("plain English") == "plain English"
    assert searchable("Straße über").split() == ["Straße", "über"]
    assert searchable("北京2019年").split() == ["北京", "北", "京", "2019", "年"]
    assert searchable("ｶﾀｶﾅです").split() == ["カタ", "タカ", "カナ", "ナで", "です"]
    assert searchable("한국어") == " 한국 국어 "
    assert searchable("КНИГИ") == searchable("книга") == "книг"


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("黑猫坐在屋顶上。", "猫"),
        ("京都の大学で学ぶ", "大学はどこ"),
        ("도서관은 아침에 열린다", "도서관에서"),
        ("หอสมุดเปิดตอนเช้า", "หอสมุด"),
        ("Библиотека закрыта", "библиотеки"),
        ("Бібліотека відкрита", "бібліотеки"),
        ("في المدينة مكتبات كثيرة", "المكتبة"),
    ],
)
def test_a_word_is_found_among_others_in_its_script(tmp_path, monkeypatch, text, query):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    (tmp_path / "b.txt").write_text(
        "Other words, другие слова, 別の話, كلمات أخرى", encoding="utf-8"
    )
    index = Index.create("one", Words())
    index.ingest([str(tmp_path / "*.txt")])
    assert [found.text for found in index.search(query)] == [text]
    memory = Memory("one", "a.ipynb", Words())
    memory.remember([Item("note", text)])
    assert [item.text for item in memory.recall(query)] == [text]


def test_a_table_of_an_older_version_is_asked_as_it_was_written(tmp_path, monkeypatch):
    import pyarrow as pa

    made = store.schema(Words())
    older = made.set(made.get_field_index("words"), pa.field("folded", pa.string(), nullable=False))
    monkeypatch.setattr(store, "schema", lambda _embedder: older)
    (tmp_path / "a.txt").write_text("Библиотека закрыта", encoding="utf-8")
    index = Index.create(f"{tmp_path}/older/one", Words())
    index.ingest([str(tmp_path / "a.txt")])
    assert asked_words(index.chunks.table, "Ｂиблиотеки") == "Bиблиотеки"
    assert index.search("библиотека")[0].text == "Библиотека закрыта"


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ("图书馆的书可以借四周。\n泳池八月维修。", "泳池在八月维修。书可以借四周。"),
        (
            "Книги выдают на месяц.\nБассейн закрыт в августе.",
            "В августе бассейны закрыты. Книгу выдают на месяц.",
        ),
    ],
)
def test_each_sentence_of_an_answer_is_held_against_its_line(lines, answer):
    passage = Passage(1, "i", "a.md", "", 1, 2, lines)
    assert [found.first_line for found in support(answer, [passage], (), "?")] == [2, 1]
