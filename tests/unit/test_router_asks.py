"""Which turns ask that Claude or GPT answer, and which only name them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.asks import SIGNS, around, ask_signs, asked_for_claude, asked_maker, mentions

ASKS = """
can you pass my question along to Claude? it's about VAT on second-hand boats
let's get GPT-4's opinion: is oak better than ash for stairs
I don't trust you with numbers, have ChatGPT do it
Please answer with the help of Claude: what is a put option
nope. gpt4.
you're useless at this, give me claude
Would ChatGPT be able to help me with this crossword clue?
Forward: Claude. My question is about leasehold law
Bitte mit GPT-4 beantworten: was ist ein Nießbrauch?
Ich will eine zweite Meinung von Claude
Stell diese Frage doch ChatGPT
Pourrais-tu faire relire ce texte par Claude ?
¿Puedes hacer que Claude revise este contrato?
Que responda Claude
Puoi chiedere a ChatGPT quanto dura la cottura?
Por favor, encaminha isto ao Claude
Kun je GPT-4 laten rekenen?
Czy możesz zapytać ChatGPT o to równanie?
Пожалуйста, ответь с помощью GPT-4
Давай лучше Клод: что такое инфляция?
Нехай відповість Claude
Soruyu ChatGPT cevaplasın
Kan du låta Claude titta på det här?
麻烦转给GPT-4
我想让Claude来写这篇作文
GPT-4で答えてほしい
클로드가 대답해 주면 좋겠어
أريد رأي كلود في هذا
क्लॉड से यह लिखवाओ
Tolong suruh ChatGPT jawab
Cho Claude trả lời câu này
Βάλε τον Claude να απαντήσει
Vreau să răspundă ChatGPT
hand this over to claude, it is about my tenancy in Leith
Could you have GPT-4 look over my cover letter?
i'd prefer chatgpt for this one
Would you let Claude explain how a heat pump works?
please check with GPT-5 whether these two pills go together
same question once more, with Claude
GPT-4: why do cats knead
This one is for ChatGPT. How do I prune a quince?
Not you, Claude. What is a monad?
I need Claude to go through the lease
how far is the moon, answered by gpt-4 and not by you
Can I talk to ChatGPT instead?
Lass das bitte GPT-4 machen: wie rechne ich Brutto in Netto um?
Schick die Frage an Claude
Ich hätte gern eine Antwort von ChatGPT
Kannst du Claude fragen, warum mein Brot nicht aufgeht?
Demande plutôt à GPT-4 comment tailler un rosier
Je préfère que ChatGPT rédige la lettre
Envoie ça à Claude s'il te plaît
Usa Claude para esto: ¿qué es el sesgo de selección?
Prefiero que lo responda GPT-4
Mándale la pregunta a ChatGPT
Fai rispondere Claude: perché il mare è salato?
Usa GPT-4 per riscrivere questa frase
Passa la domanda al modello di OpenAI
Deixa o Claude responder isto
Quero a resposta do ChatGPT
Laat Claude dit oplossen
Gebruik hiervoor liever GPT-4
Niech Claude napisze ten wiersz
Wyślij to do ChatGPT
Пусть Claude проверит моё сочинение
Отправь вопрос в ChatGPT
Запитай ChatGPT, як варити борщ
Bu soruyu GPT-4'e yönlendir
Claude'dan yardım iste: limit nasıl alınır?
Låt GPT-4 skriva talet
Ať odpoví Claude
让克劳德来解释一下相对论
用GPT-4翻译这段话
この文章はClaudeに直してもらいたい
ChatGPTを使って要約してください
이 문제는 GPT-4한테 풀어 달라고 해줘
استخدم ChatGPT لكتابة الرسالة
यह सवाल ChatGPT से पूछो
tanyakan pada Claude kenapa langit biru
Hãy nhờ Claude dịch câu này
Ζήτα από το GPT-4 να το λύσει
Roagă-l pe Claude să corecteze textul
Kérdezd meg Claude-ot, mennyi a fénysebesség
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
Which is cheaper, Claude or ChatGPT?
My boss wants us to use Claude at work, is that legal?
She said I should ask ChatGPT but I prefer a person
Explain to my grandmother what ChatGPT is
Give me reasons to switch to Claude
Write an ad: "Ask Claude, save time"
How can I talk to Claude on my phone?
What did Claude Cahun photograph?
Claude and Marie are getting married, write a toast
ChatGPT answered 42. Is it right?
Draft a policy for staff who use ChatGPT
Can ChatGPT read PDF files?
Is Claude free?
Install the OpenAI library with pip
Why did GPT-4 refuse to answer me?
Remind me to call Claude tomorrow
Warum antwortet ChatGPT so langsam?
Ich habe Claude gefragt und nichts verstanden
Ist Claude besser als GPT-4?
Schreib eine Geschichte, in der ChatGPT ein Detektiv ist
Pourquoi utiliser Claude plutôt que ChatGPT ?
Mon frère Claude veut apprendre le piano
¿Es seguro usar ChatGPT?
Mi profesor dice que usemos ChatGPT con cuidado, ¿por qué?
Come si usa ChatGPT per studiare?
Como usar o ChatGPT no trabalho?
Mag ik ChatGPT gebruiken voor mijn scriptie?
Czy mogę używać ChatGPT na egzaminie?
Можно ли доверять ChatGPT?
Чи безпечно користуватися ChatGPT?
ChatGPT ile para nasıl kazanılır?
Hur använder jag ChatGPT?
如何用ChatGPT学英语
ChatGPTの使い方を教えて
클로드와 챗GPT 중 뭐가 더 좋아?
Who trained GPT-4?
Claude said the bridge was built in 1890, can that be true?
Translate 'ask Claude' into Dutch
How do you say "let GPT-4 answer" in Greek?
don't bother chatgpt with this, what is 7 times 8
Answer without ChatGPT: who wrote Emma?
Send Claude a text that the train is late
My cousin Claude wants to learn the cello, where does he begin?
Pretend you are GPT-4 and greet me
Hey ChatGPT, what rhymes with orange?
Write a short story about Claude, a shy lighthouse keeper
How much is ChatGPT Plus per month?
My Claude API key is rejected with error 401
Is this essay written by ChatGPT? "The sea was calm."
Should I use Claude or GPT-4 for my thesis?
How does ChatGPT work?
Which painter was Claude Lorrain's teacher?
the cloud over Oslo, will it rain
Move my files to Google Cloud
Is Cloudflare down?
Build a Discord bot that passes questions to Claude
I asked GPT-4 last night and it failed
Are you ChatGPT?
Wer hat ChatGPT erfunden?
Frag nicht ChatGPT, sag es mir selbst: wie alt ist die Erde?
Claude hat gestern behauptet, Wale seien Fische
Ruf bitte Claude an und sag, dass ich später komme
Qui est le patron d'OpenAI ?
Envoie un message à Claude pour dire que je suis en retard
Écris un poème sur ChatGPT
¿Cuánto cuesta la API de Claude?
Ayer le pregunté a ChatGPT y no supo
Ciao Claude, come va?
Quanti anni ha GPT-4?
O Claude Monet nasceu onde?
Wat is het verschil tussen Claude en ChatGPT?
Kto stworzył ChatGPT?
Nie pytaj GPT-4, powiedz sam
Кто такой Клод Дебюсси?
Я вчера спросил ChatGPT, и он ошибся
ChatGPT nedir?
Claude'a sorma, kendin cevapla
Vad kostar ChatGPT Plus?
Co je to GPT-4?
ChatGPT是哪家公司的
不要问克劳德，你自己说
Claudeの料金はいくらですか
ChatGPT 사용법을 알려줘
ما هو شات جي بي تي؟
ChatGPT क्या है?
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


def signs_of(turn: str) -> set[str]:
    return {sign for sign, holds in zip(SIGNS, ask_signs(turn), strict=True) if holds}


@pytest.mark.parametrize(
    "turn",
    [
        "claud",
        "Cladue",
        "CHATGTP",
        "chat-gpt",
        "chat gpt 4",
        "gtp4",
        "gpt-3.5-turbo",
        "gpt-4o",
        "claude-3-5-sonnet",
        "Claude's",
        "Claudem",
        "Claude-dal",
        "GPT-4:n",
        "ChatGPT'ye",
        "Клоду",
        "чат гпт",
        "克劳德",
        "クロード",
        "클로드",
        "챗지피티",
        "شات جي بي تي",
        "لكلود",
        "चैटजीपीटी",
        "κλοντ",
        "בקלוד",
        "คล็อด",
        "the Anthropic model",
        "OpenAI",
        "ｃｌａｕｄｅ",
    ],
)
def test_a_name_is_known_in_every_usual_spelling(turn: str) -> None:
    assert mentions(f"so {turn} it is")


@pytest.mark.parametrize(
    "turn", ["cloud", "clouds", "Cloudflare", "Claudia", "claudette", "gpt4all", "egpt", "chat", ""]
)
def test_words_that_look_like_a_name_are_none(turn: str) -> None:
    assert not mentions(f"so {turn} it is")


@pytest.mark.parametrize(
    ("turn", "signs"),
    [
        ("Ask Claude", {"ordered", "name at the end", "the rules hear an ask"}),
        ("Give this to GPT-4, it is hard", {"handed over"}),
        ("I want ChatGPT to do it", {"let or wished"}),
        ("the same with Claude", {"with or via"}),
        ("could Claude check my sums", {"work, opinion or task of the name"}),
        ("@claude why", {"addressed or alone"}),
        ("gpt-4, not you", {"not the one spoken to", "name at the start"}),
        ("do not ask GPT-4", {"negated"}),
        ("Claude said no", {"reported"}),
        ('translate "ask Claude"', {"quoted or spoken of as words"}),
        ("what is ChatGPT", {"question about it"}),
        ("the Claude API is slow", {"a thing of it, or code"}),
        ("my uncle Claude", {"a person or a message"}),
        ("write a bot that asks GPT-4", {"part of what is made"}),
        ("hello ChatGPT", {"greeted"}),
        ("are you ChatGPT", {"is it you"}),
        ("detect texts by ChatGPT", {"detection"}),
        ("Claude and GPT-4", {"several names"}),
    ],
)
def test_a_turn_shows_its_signs(turn: str, signs: set[str]) -> None:
    assert signs <= signs_of(turn)


def test_a_turn_without_a_name_has_no_sign() -> None:
    assert ask_signs("hello, are you there?") == (False,) * len(SIGNS)


def test_what_stands_around_each_name_is_given_without_case() -> None:
    assert around("Ask CLAUDE Or GPT-4!") == [("ask ", " or gpt-4!"), ("ask claude or ", "!")]
    assert around("x" * 100 + " claude") == [("x" * 47 + " ", "")]
    assert around("nobody") == []


_PIECES = st.sampled_from(
    ["claude", "GPT-4", " ask ", "not ", "'", '"', ": ", "\n", "@", "克劳德", "に", "用", "ß", "İ"]
)


@given(st.text() | st.lists(_PIECES | st.text(max_size=5)).map("".join))
def test_any_text_can_be_read(turn: str) -> None:
    assert len(ask_signs(turn)) == len(SIGNS)
    assert bool(around(turn)) == mentions(turn)
    if asked_for_claude(turn):
        assert mentions(turn)


@pytest.mark.parametrize(
    ("turn", "maker"),
    [
        ("Use GPT-4 for this: write a haiku", "openai"),
        ("Let OpenAI answer this", "openai"),
        ("用GPT回答", "openai"),
        ("Используй ГПТ для этого: напиши", "openai"),
        ("Use Claude for this: write a haiku", "anthropic"),
        ("please use Claude, not GPT: write a haiku", "anthropic"),
        ("@claude hi", "anthropic"),
        ("What is the difference between Claude and GPT?", None),
        ("Write a haiku", None),
    ],
)
def test_whose_model_is_asked_for(turn: str, maker: str | None) -> None:
    assert asked_maker(turn) == maker
