"""What is wrong with the answer of a model, whatever was asked, and by what was expected."""

import math

import pytest

from model_watchdog.core.answer import Expected, judge_text, judge_vector


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ("OK", ""),
        ("好的", ""),
        ("no", ""),
        ("!!!", ""),
        ("!!!!", "the answer is one character repeated: '!!!!'"),
        ("! ! ! !\n!", "the answer is one character repeated"),
        ("的的的的的的", "the answer is one character repeated"),
        ("", "the answer is empty"),
        (" \n\t", "the answer is empty"),
        ("NaN", "the answer is 'NaN'"),
        ("null", "the answer is 'null'"),
        ("-inf", "the answer is '-inf'"),
        ("a\x1b[2Jb", ""),
    ],
)
def test_what_no_answer_may_be(answer: str, wrong: str) -> None:
    assert judge_text(answer).startswith(wrong) and bool(judge_text(answer)) == bool(wrong)


@pytest.mark.parametrize(
    ("expected", "answer", "is_right"),
    [
        (Expected(text="paris"), "It is Paris.", True),
        (Expected(text="paris"), "It is Rome.", False),
        (Expected(regex=r"^\d+$"), "42", True),
        (Expected(regex=r"^\d+$"), "forty-two", False),
    ],
)
def test_what_was_expected(expected: Expected, answer: str, is_right: bool) -> None:
    assert (judge_text(answer, expected) == "") is is_right


def test_an_answer_is_shown_cut_and_without_control_characters() -> None:
    shown = judge_text("\x1b[31m" + "x" * 200, Expected(text="never"))
    assert "\x1b" not in shown and len(shown) < 120


@pytest.mark.parametrize(
    ("vector", "wrong"),
    [
        ((), "the embedding is empty"),
        ((0.0, 0.0), "the embedding is all zeros"),
        ((1.0, math.nan), "the embedding holds numbers that are none"),
        ((1.0, math.inf), "the embedding holds numbers that are none"),
        ((1.0, 0.0), ""),
    ],
)
def test_what_no_embedding_may_be(vector: tuple[float, ...], wrong: str) -> None:
    assert judge_vector(vector)[0].startswith(wrong) and bool(judge_vector(vector)[0]) == bool(wrong)


def test_an_embedding_against_its_reference() -> None:
    expected = Expected(reference=(1.0, 0.0), distance=0.02)
    assert judge_vector((3.0, 0.0), expected) == ("", 0.0)
    wrong, distance = judge_vector((0.0, 1.0), expected)
    assert distance == 1.0 and wrong == "the embedding lies 1 from the reference, more than 0.02"
    assert "has 3 numbers" in judge_vector((1.0, 0.0, 0.0), expected)[0]


@pytest.mark.parametrize("size", [1e200, 1e-200, 5e-324])
def test_the_distance_of_numbers_of_any_size(size: float) -> None:
    expected = Expected(reference=(size, size), distance=0.02)
    assert judge_vector((size, size), expected)[0] == ""
    wrong, distance = judge_vector((size, -size), expected)
    assert wrong and distance == pytest.approx(1.0)


def test_what_must_not_be_shown_is_not() -> None:
    wrong = judge_text("x" * 50 + "secret", Expected(text="never"), lambda text: text.replace("secret", "***"))
    assert "***" in wrong and "secr" not in wrong
    assert judge_text("secret", Expected(text="secret"), lambda text: "***") == ""
