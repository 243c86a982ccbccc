"""Which questions may share an answer, by what they say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.similar import MOST_CHARS, why_not


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the capital of France?", "Tell me the capital of France, please."),
        ("What is the capital of France?", "Hi, can you tell me what the capital of France is?"),
        ("How do I boil an egg?", "how to boil an egg"),
        ("In Python, how do I sort a list?", "How can I sort a list in Python?"),
        ("What is 17 % of 80?", "calculate 17% of 80"),
        ("When was Einstein born?", "Do you know when Einstein was born?"),
        ("What's the difference between A and B?", "Explain the difference between B and A."),
        ('Is the sentence "he go" right?', "Is the sentence “he go” right?"),
        ("Why can't dogs eat chocolate?", "why can not dogs eat chocolate"),
        ("Was ist die Hauptstadt von Peru?", "Nenne mir bitte die Hauptstadt von Peru."),
        ("Quelle est la capitale de l'Italie ?", "Dis-moi quelle est la capitale de l'Italie"),
        ("¿Cuál es la capital de Perú?", "Dime cuál es la capital de Perú, por favor"),
        ("Как включить звук?", "Как мне включить звук?"),
        ("法国的首都是哪里?", "请问法国首都在哪里?"),
    ],
)  # fmt: skip
def test_another_way_of_asking_is_no_other_question(one: str, other: str) -> None:
    assert why_not(one, other) == ""
    assert why_not(other, one) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 17 % of 80?", "What is 17 % of 90?"),
        ("What is 5?", "What is 5!?"),
        ("What is 52?", "What is 5²?"),
        ("What is 2 * (3 + 4)?", "What is 2 * 3 + 4?"),
        ("What is 3 - 5?", "What is 3 5?"),
        ("What is 1.44 squared?", "What is 144 squared?"),
        ("Is 3 < 5?", "Is 3 > 5?"),
        ("What is C?", "What is C++?"),
        ("What are the symptoms of hepatitis A?", "What are the symptoms of hepatitis?"),
        ("What is blood type A?", "What is blood type O?"),
        ("Tell me a joke", "What is a joke?"),
        ("Name a river", "What is a river?"),
        ("Why do dogs bark?", "Why don't dogs bark?"),
        ("Can dogs eat rice?", "Can't dogs eat rice?"),
        ("What is this bug?", "Is this a bug?"),
        ("Is Paris in France?", "What is in France?"),
        ("Convert JSON to YAML", "Convert YAML to JSON"),
        ("Did Germany beat Brazil?", "Did Brazil beat Germany?"),
        ("trains from paris to lyon", "trains from lyon to paris"),
        ("Who is the president?", "Who was the president?"),
        ("How do I reset my router?", "How do I reset a router?"),
        ('Rhyme with "light"', 'Rhyme with "right"'),
        ("What does `Foo` do?", "What does `foo` do?"),
        ("What does a child owe a parent?", "What does a parent owe a child?"),
        ("Which is better, tea or coffee or tea?", "Which is better, tea or coffee?"),
        ("How do you say please in French?", "How do you say thank you in French?"),
        ("Hello in Japanese?", "Bonjour in Japanese?"),
        ("How do you feel?", "How do I feel?"),
        ("Can we be friends?", "Can I be friends?"),
        ("What is 2, 4, 8?", "What is 4, 8, 2?"),
        ("Nenne mir eine Stadt", "Was ist eine Stadt?"),
        ("Dis-moi une blague", "C'est quoi une blague ?"),
        ("孕妇能吃鱼吗?", "孕妇不能吃鱼吗?"),
        ("How do I boil potatoes?", "Wie koche ich Kartoffeln?"),
    ],
)
def test_a_near_miss_is_told_apart(one: str, other: str) -> None:
    assert why_not(one, other)
    assert why_not(other, one)


def test_what_is_true_now_may_not_be_so_in_a_minute() -> None:
    live = "What is the weather in Berlin today?"
    assert why_not(live, live) == "the answer changes with the time"


def test_without_words_nothing_is_compared() -> None:
    assert why_not("?!", "...") == "there are no words to compare"


def test_a_page_of_text_is_not_compared() -> None:
    page = "word " * MOST_CHARS
    assert "characters" in why_not(page, page)


def test_the_reason_names_what_differs() -> None:
    assert why_not("What is 2 + 2?", "What is 2 + 3?") == "only one of them says '2', '3'"


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_two_texts_can_be_compared_either_way_round(one: str, other: str) -> None:
    assert bool(why_not(one, other)) == bool(why_not(other, one))
