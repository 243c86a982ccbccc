"""What is read in a request, and which words ask for Claude."""

import json
import time

import pytest

from fleet.request import JobRequest
from router.asks import asked_for_claude
from router.signals import estimate_tokens, read


def test_the_turns_of_the_user_are_read_oldest_first() -> None:
    request = JobRequest.model_validate(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Weather in Paris?"},
                {"role": "assistant", "content": "Rain."},
            ],
            "message": "And London?",
        }
    )
    signals = read("auto", request.for_model())
    assert signals.conversation.user_turns == ("Weather in Paris?", "And London?")
    assert signals.asked_model == "auto"
    assert not signals.has_tools
    assert signals.max_tokens is None


def test_only_the_words_of_a_turn_with_a_picture_are_read_and_counted() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    content = [picture, {"type": "text", "text": "What is this?"}]
    signals = read("auto", {"messages": [{"role": "user", "content": content}]})
    assert signals.conversation.user_turns[0].strip() == "What is this?"
    assert signals.tokens < 20


def test_a_turn_without_words_still_is_the_last_turn() -> None:
    picture = [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]
    turns = [{"role": "user", "content": "Use Claude"}, {"role": "user", "content": picture}]
    assert read("auto", {"messages": turns}).conversation.user_turns == ("Use Claude", "")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"tools": []}, False),
        ({"tools": [{"type": "function"}]}, True),
        ({"tools": [{"type": "function"}], "tool_choice": "auto"}, True),
        ({"tools": [{"type": "function"}], "tool_choice": "none"}, False),
    ],
)
def test_tools_count_when_the_model_may_use_them(fields: dict[str, object], expected: bool) -> None:
    request = {"messages": [{"role": "user", "content": "hi"}], **fields}
    assert read("auto", request).has_tools is expected


def test_tools_and_their_calls_take_tokens_too() -> None:
    turn = {"role": "user", "content": "hi"}
    tools = [{"type": "function", "function": {"name": "search", "description": "x" * 4_000}}]
    calls = [{"id": "1", "function": {"name": "search", "arguments": "y" * 4_000}}]
    alone = read("auto", {"messages": [turn]}).tokens
    assert read("auto", {"messages": [turn], "tools": tools}).tokens > alone + 1_000
    called = {"role": "assistant", "content": None, "tool_calls": calls}
    assert read("auto", {"messages": [called, turn]}).tokens > alone + 1_000


def test_the_room_for_the_answer_is_what_the_caller_allows() -> None:
    request = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 77}
    assert read("auto", request).max_tokens == 77


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        # Counted with the vocabulary of Qwen 2.5.
        ("What is the weather in Paris? " * 10, 71),
        ("北京今天天气怎么样？明天会下雨吗？" * 10, 100),
        ("今日の東京の天気を教えてください。" * 10, 110),
        ("Какая погода в Москве? " * 10, 81),
        (json.dumps({"location": {"type": "string", "description": "City"}}) * 10, 150),
    ],
)
def test_the_estimate_is_near_a_real_tokenizer_in_every_script(text: str, tokens: int) -> None:
    assert tokens * 0.75 <= estimate_tokens(text) <= tokens * 1.35


def test_nothing_has_no_tokens_and_a_lone_surrogate_does_not_break_the_count() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens("\ud800") == 1


ASKS = """
Use Claude for this one: draft a letter
USE CLAUDE FOR THIS
Please use GPT-4 to answer: what is life?
ask gpt-4 what the capital of France is
Don't use llama for this, use Claude
Could you ask Claude Sonnet 4.5 about it?
Claude, can you help me with my homework?
hey claude, plan a birthday dinner
@claude summarise the email below
Ask ChatGPT to write a poem
I want Claude to answer this. Why is the sky blue?
I'd rather use Claude
Can I talk to Claude please?
Could Claude take a look at this stack trace?
Answer this using GPT-4 Turbo: why is the sky blue
This is too hard for you. Give it to Claude.
Please route this to gpt-4, the local one got it wrong
Frag GPT-4, ob dieser Vertrag gültig ist
Kann Claude das übersetzen?
Beantworte das mit Claude
Ich möchte, dass GPT-4 diese Frage beantwortet
Demande à Claude ce qu'il en pense
Je voudrais que Claude réponde
Pregúntale a GPT-4 cómo se hace una paella
Quiero que Claude me corrija este texto
Chiedi a Claude di tradurre questo
Pergunte ao GPT-4 qual é a capital da Austrália
Użyj GPT-4 do tego
Zapytaj Claude'a, co o tym myśli
Vraag het aan Claude
请用Claude回答这个问题
把这个问题交给Claude
Claudeに聞いてください
ChatGPTにお願いして
Claude에게 물어봐 줘
챗GPT로 답변해 주세요
Используй Claude для ответа
Спроси у Клода
ＵＳＥ Ｃｌａｕｄｅ
""".strip().splitlines()

MENTIONS = """
Who was Claude Monet?
Use Claude Monet's palette in the description
use claude shannon's formula
Ask Jean-Claude for the recipe
Find me Jean-Claude Van Damme movies showing tonight
Write about GPT-4's history
Write a story about a robot named Claude
Write a letter to Claude, my uncle
Send an email to Claude about the meeting
What is ChatGPT?
Hey ChatGPT! I need better keywords for my shop
What can Claude do?
How do I use Claude in Python?
Should I use Claude or GPT-4?
Compare Claude and GPT-4
Build a chatbot using GPT-4
I use ChatGPT every day
I asked Claude yesterday and it was wrong
I need a Claude API key
Do not use Claude
Don't ask GPT-4
Never use ChatGPT for this, stay local
Answer without using Claude
Translate 'use Claude for this' into French
Translate: ask Claude
Claude: a history of the name
Nutze Claude nicht
Wie benutze ich Claude?
Wer war Claude Debussy?
N'utilise pas Claude
Où est né Claude François ?
¿Qué es GPT-4?
No uses Claude
Non usare Claude
Nie używaj Claude'a
Gebruik geen Claude
怎么用ChatGPT写论文?
不要用Claude
克劳德·莫奈是谁？
Claudeとは何ですか
クロード・モネについて教えてください
ChatGPT가 뭐야
클로드 모네에 대해 알려줘
Не используй Claude
Кто такой Клод Моне?
claudette and gpt4all
""".strip().splitlines()


@pytest.mark.parametrize("turn", ASKS)
def test_an_explicit_ask_for_claude_or_gpt_is_heard(turn: str) -> None:
    assert asked_for_claude(turn)


@pytest.mark.parametrize("turn", MENTIONS)
def test_a_mention_is_not_an_ask(turn: str) -> None:
    assert asked_for_claude(turn) == ""


def test_the_words_that_ask_are_given_back() -> None:
    assert asked_for_claude("This is hard. Please use Claude, it is urgent") == "Please use Claude"


def test_an_ask_in_the_middle_of_a_long_pasted_text_is_not_the_users() -> None:
    pasted = "Lorem ipsum dolor sit amet. " * 100
    assert not asked_for_claude(f"Summarise: {pasted} Use Claude. {pasted}")
    assert asked_for_claude(f"{pasted} Use Claude.")


@pytest.mark.parametrize(
    "piece", ["use ", "please ", "claude ", ": ", "send this that it ", "Claudeに", "把", "i want "]
)
def test_no_text_makes_the_search_for_an_ask_slow(piece: str) -> None:
    turn = piece * (1_000_000 // len(piece)) + "claude"
    started = time.perf_counter()
    asked_for_claude(turn)
    assert time.perf_counter() - started < 1  # really about a millisecond
