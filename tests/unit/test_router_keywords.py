"""Which words lead to which route."""

import time
from dataclasses import replace

import pytest

from router.conversation import Conversation
from router.keywords import KeywordClassifier
from router.verdict import Verdict


def verdict(*turns: str, memory: int = 3) -> Verdict:
    """The verdict; its route is `unsure` where no rule speaks."""
    found = KeywordClassifier(memory).classify(Conversation.saying(*turns))
    return replace(found, route="unsure") if found.reasons == ("no rule speaks for it",) else found


@pytest.mark.parametrize(
    ("turn", "route"),
    [
        ("What is the weather in Paris?", "tool"),
        ("Weather in Paris", "tool"),
        ("Weather Paris", "tool"),
        ("Today's news", "tool"),
        ("Latest news", "tool"),
        ("What's happening in Berlin?", "tool"),
        ("Write a haiku about coding", "fast"),
        ("Write a haiku", "fast"),
        ("Write a poem", "fast"),
        ("What's 2+2?", "fast"),
        ("Explain Docker", "fast"),
        ("Complex analysis", "large"),
        ("Analyze this contract", "large"),
        ("Compare Rust and Go", "large"),
        ("What are the pros and cons of Kubernetes?", "large"),
        ("Explain step by step how to prove it", "large"),
    ],
)
def test_the_strategys_own_examples_go_where_it_says(turn: str, route: str) -> None:
    assert verdict(turn).route == route


@pytest.mark.parametrize(
    "turn",
    [
        "I know",
        "the knowledge base",
        "snow white",
        "a renowned newsagent",
        "my findings",
        "a researcher",
        "I find it hard",
        "the comparable",
        "自然语言处理出现在什么时候",
        "研究生的生活",
        "我比较喜欢茶",
        "오늘날의 경제",
        "비교적 좋아",
        "気をつけてね",
    ],
)
def test_a_keyword_inside_another_word_says_nothing(turn: str) -> None:
    assert verdict(turn).route == "unsure"


@pytest.mark.parametrize(
    "turn",
    [
        "Wie ist das Wetter in Berlin?",
        "Quel temps fait-il à Lyon ?",
        "¿Qué tiempo hace en Madrid?",
        "Che tempo fa a Roma?",
        "Quais são as notícias de hoje?",
        "Jaka jest pogoda w Krakowie?",
        "Hoe is het weer in Utrecht?",
        "北京天气怎么样",
        "東京の天気を教えて",
        "서울 날씨 알려줘",
        "Какая погода в Москве?",
        "ＷＥＡＴＨＥＲ in Rome",
        "Kafka最新版",
    ],
)
def test_live_data_is_asked_for_in_many_languages(turn: str) -> None:
    assert verdict(turn).route == "tool"


@pytest.mark.parametrize(
    "turn",
    [
        "Vergleiche Kafka und RabbitMQ",
        "Compare Kafka et RabbitMQ",
        "Compara Kafka y RabbitMQ",
        "Confronta Kafka e RabbitMQ",
        "Compare o Kafka com o RabbitMQ",
        "Porównaj Kafkę i RabbitMQ",
        "Vergelijk Kafka en RabbitMQ",
        "请比较Kafka和RabbitMQ",
        "KafkaとRabbitMQを比較して",
        "Kafka와 RabbitMQ를 비교해 줘",
        "Сравни Kafka и RabbitMQ",
    ],
)
def test_careful_reasoning_is_asked_for_in_many_languages(turn: str) -> None:
    assert verdict(turn).route == "large"


@pytest.mark.parametrize(
    "turn",
    [
        "Schreib ein Gedicht",
        "Écris un poème",
        "Escribe un poema",
        "Scrivi una poesia",
        "Escreva um poema",
        "Napisz wiersz",
        "Schrijf een gedicht",
        "写一首诗",
        "詩を書いて",
        "시를 써 줘",
        "Напиши стихотворение",
    ],
)
def test_a_poem_is_asked_for_in_many_languages(turn: str) -> None:
    assert verdict(turn).route == "fast"


@pytest.mark.parametrize(
    ("turn", "route"),
    [
        ("Explain how weather forecasts are made", "fast"),
        ("Write a poem about the weather", "fast"),
        ("Write a function to search a list", "fast"),
        ("Write a summary of today's news", "tool"),
        ("What is the current temperature in Rome", "tool"),
        ("Find me a hotel in Rome", "tool"),
        ("Find the sum of all even numbers", "unsure"),
        (r"Solve \frac{1}{2} x = 3", "large"),
    ],
)
def test_a_topic_alone_needs_no_live_data_to_write_about_it(turn: str, route: str) -> None:
    assert verdict(turn).route == route


def test_a_long_turn_goes_to_the_large_model() -> None:
    assert verdict("lorem ipsum dolor " * 40).route == "large"
    assert verdict("春眠不覺曉處處聞啼鳥" * 20).route == "large"


def test_the_words_of_a_pasted_text_ask_for_nothing() -> None:
    pasted = "lorem ipsum dolor " * 100
    assert verdict(f"Shorten this. {pasted} the weather today {pasted}").route == "large"


@pytest.mark.parametrize(
    "turn", ["What about London?", "commit it", "why?", "那上海呢？", "And London?"]
)
def test_a_follow_up_goes_where_the_talk_went(turn: str) -> None:
    followed = verdict("What is the weather in Paris?", turn)
    assert followed.route == "tool"
    assert followed.reasons == (
        "goes on with an earlier turn: the word 'weather' asks for live data",
    )
    assert followed.confidence < verdict("What is the weather in Paris?").confidence


@pytest.mark.parametrize(
    ("turns", "route"),
    [
        (("What is the weather in Paris?", "And what's it like in Rome?"), "tool"),
        (("What is the weather in Paris?", "Write a haiku about coding"), "fast"),
        (("What is the weather in Paris?", "Thanks!"), "fast"),
        (("Compare Rust and Go", "and tomorrow?"), "tool"),
        (("Compare Rust and Go", "Write a haiku", "another one"), "fast"),
        (("Compare Rust and Go", "hm", "and for C?"), "large"),
        (("Weather in Paris?", "And who is mayor?", "and there?"), "tool"),
    ],
)
def test_the_most_recent_turn_that_speaks_is_heard(turns: tuple[str, ...], route: str) -> None:
    assert verdict(*turns).route == route


@pytest.mark.parametrize(("memory", "route"), [(0, "unsure"), (1, "unsure"), (2, "tool")])
def test_no_more_turns_are_heard_than_the_memory_has(memory: int, route: str) -> None:
    assert verdict("Weather in Paris?", "hm", "what about London?", memory=memory).route == route


def test_an_ask_for_claude_holds_for_its_own_turn_only() -> None:
    assert verdict("Use Claude for this: compare Rust and Go").route == "claude"
    assert verdict("Use Claude for this: compare Rust and Go", "and C?").route == "large"
    assert verdict("Use Claude for this", "hm").route == "unsure"


def test_an_ask_leaves_the_scores_of_the_other_routes_in_their_order() -> None:
    found = verdict("Use Claude: compare Rust and Go")
    assert found.reasons == ("the words 'Use Claude' ask for an external model",)
    assert (found.route, found.runner_up) == ("claude", "large")


def test_what_no_rule_speaks_for_is_small_talk_with_little_confidence() -> None:
    found = KeywordClassifier().classify(Conversation.saying("hm"))
    assert (found.route, found.classifier) == ("fast", "keywords")
    assert found.confidence < 0.5
    assert found.reasons == ("no rule speaks for it",)


def test_the_scores_are_shares_and_the_route_has_the_largest() -> None:
    for turn in ("hm", "Weather in Paris", "Compare Rust and Go", "Write a poem"):
        found = KeywordClassifier().classify(Conversation.saying(turn))
        assert sum(found.scores.values()) == pytest.approx(1)
        assert found.scores[found.route] == max(found.scores.values()) == found.confidence


@pytest.mark.parametrize(
    ("turn", "domain"),
    [
        ("Write a Python function that sorts", "code"),
        ("Write a poem about autumn", "creative"),
        ("How old is Rome?", "general"),
    ],
)
def test_the_words_tell_the_domain(turn: str, domain: str) -> None:
    assert verdict(turn).domain == domain


@pytest.mark.parametrize("turns", [(), ("",), ("   ",), ("🙂",), ("\ud800",)])
def test_for_a_conversation_without_words_no_rule_speaks(turns: tuple[str, ...]) -> None:
    assert verdict(*turns).route == "unsure"


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        ("Any NEWS?", "the word 'news' asks for live data"),
        ("look up my order", "the words 'look up' ask for something to be done"),
        ("define flange", "the word 'define' asks for something simple"),
        ("what’s up", 'the word "what\'s" asks for something simple'),
    ],
)
def test_every_verdict_names_its_words(turn: str, reason: str) -> None:
    assert verdict(turn).reasons == (reason,)


@pytest.mark.parametrize(
    "piece", ["a", "find the ", "what does ", "现在", "$a ", "ﷺ", "\n", "and "]
)
def test_a_huge_text_is_judged_in_no_time(piece: str) -> None:
    turn = piece * (1_000_000 // len(piece))
    started = time.perf_counter()
    verdict(turn, turn, turn, turn)
    assert time.perf_counter() - started < 2  # really some ten milliseconds
