"""Which numbers and texts are the same answer."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.evaluation.numbers import (
    plain_number,
    read_number,
    same_math,
    same_number,
    same_text,
    short_answer,
)

SAME = [
    *[("18", text) for text in ("18", "18.0", "$18", r"18\%", "18 %", "+18", r"$18$", "18.")],
    *[("18", text) for text in ("**18**", r"\boxed{18}", "It is 18.", "#### 18", "18,", "= $ 18")],
    *[("18", text) for text in ("2 + 16 = 18", "Of 20, 18", "<answer>18</answer> of 20", "१८")],
    *[("1800", text) for text in ("1,800", "1 800", "1\u202f800 рублей", "1'800", "1.8e3")],
    *[("1800", text) for text in ("1{,}800", "$1,800.00", "1.800,00", "€ 1 800,00")],
    *[("0.75", text) for text in ("3/4", r"\frac{3}{4}", r"\boxed{\dfrac{3}{4}}", ".75", "0,75")],
    *[("-5", text) for text in ("−5", "–5", "-$5", "$-5", "(-5)", "x = -5")],
    *[("18.5", text) for text in ("Ответ: 18,5", "18,50", "18.50")],
    *[("1234567", text) for text in ("1,234,567", "1.234.567", "1 234 567")],
]
OTHER = [
    *[("18", text) for text in ("", "eighteen", "18 of 20", "180", "x18", "-18", "18/2")],
    *[("5", text) for text in ("H5", "-5", "5/0", "5 or 6")],
    *[("1800", text) for text in ("1.800", "18,00", "1,8")],
]


@pytest.mark.parametrize(("expected", "text"), SAME)
def test_the_same_number(expected, text):
    assert same_number(expected, text) == (True, "")


@pytest.mark.parametrize(("expected", "text"), OTHER)
def test_another_number(expected, text):
    assert same_number(expected, text)[0] is False


def test_a_comma_before_three_digits_is_ambiguous_in_russian():
    assert same_number("1800", "Ответ: 1,800") == (
        False,
        "ambiguous: 1,800 may be 1800 or 1.800",
    )
    assert same_number("1800", "The answer: 1,800")[0]
    assert same_number("1.8", "Ответ: 1,8")[0]


def test_a_number_of_any_length_is_read_or_refused():
    assert same_number("1", "9" * 5000) == (False, "a number of too many digits")
    assert read_number("1/" + "9" * 5000).value is None
    assert read_number("1e400").value == 10**400


def test_what_is_no_number_is_none():
    for text in ("", "abc", "2024-01-01", "A 5", "1/0", "12:30", "1 and 2"):
        assert plain_number(text) is None


def test_an_answer_comes_to_its_box():
    assert short_answer(r"so \boxed{\frac{1}{2}} it is") == r"\frac{1}{2}"
    assert short_answer(r"\boxed{1} then \boxed{2") == "1"
    assert short_answer("Because.\n#### 7") == "7"


def test_texts_are_the_same_but_for_case_and_marks():
    assert same_text("Paris", "**paris**.")
    assert same_text("ёлка", "Елка!")
    assert same_text("New York", "new  york\n")
    assert same_text("ＡＢＣ", "abc")
    assert not same_text("Paris", "It is Paris")
    assert not same_text("Paris", "")


def test_mathematics_is_compared_by_math_verify():
    pytest.importorskip("math_verify")
    assert same_math("1/2", r"The value is $\frac{2}{4}$.") == (True, "")
    assert same_math("70", r"\boxed{70}") == (True, "")
    assert same_math("70", r"\boxed{71}")[0] is False
    assert same_math("70", "No idea.") == (False, "no mathematics in it")


@given(st.integers(-(10**9), 10**9))
def test_a_number_is_itself_however_it_is_written(number):
    written = [str(number), f"{number:,}", f"{number:,}".replace(",", " "), f"{number}.00"]
    for text in written:
        assert read_number(f"The answer is {text}.").value == Fraction(number)


@given(st.text(max_size=60))
def test_any_text_is_read(text):
    plain_number(text)
    same_text(text, text)
    assert same_number("3", text)[0] in (True, False)
