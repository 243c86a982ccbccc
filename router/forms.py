"""Words of form: how people ask, beside what they ask. Pure.

What stands here may differ between two questions with one answer. Everything else counts, so a
language that is not here only has fewer paraphrases found. Whoever adds a phrase asks first
whether some question changes its answer with it, as it does with "not", "all", "my", "was",
"to", and with the "a" of hepatitis A.
"""

import re

#: Stands before a question that is answered with yes or no: "is that" is not "what is that".
YES_NO = "yes/no"

_COUNT = r"(?:\d|two|three|four|five|six|seven|eight|nine|ten)"
_ASKING = r"what|which|who|when|where|why|how"


def _rules(*pairs: tuple[str, str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(rf"(?<!\w)(?:{phrase})(?!\w)"), instead) for phrase, instead in pairs)


#: Politeness, wherever it stands. Two questions may not have different words of it: how one says
#: "please" in French is not how one says "thanks".
POLITE = re.compile(
    r"(?<!\w)(?:please|kindly|thanks|thank you|bitte|danke|s'il (?:te|vous) pla[iî]t|stp|svp|merci|"
    r"por favor|gracias|per favore|per piacere|grazie|obrigad[oa]|пожалуйста|спасибо)(?!\w)"
)

#: How a request begins; one after the other is taken off. "Tell me the" is one, "tell me a" is not:
#: who wants to be told a joke does not ask what a joke is.
OPENINGS = tuple(
    re.compile(rf"\W*(?:{phrase})(?!\w)[\s,:]*")
    for phrase in (
        r"(?:hi|hello|hey|hallo|bonjour|hola|ciao|olá|привет)(?=\s?[,.!])[\s,.!]*",
        r"(?:can|could|would|will) you"
        r"(?= (?:tell|give|show|explain|write|make|name|list|translate|summari[sz]e))",
        rf"(?:do you know|i(?: would|'d) like to know|i want to know|explain)(?= (?:{_ASKING}))",
        rf"(?:list|give me|tell me|show me)(?= {_COUNT})",
        rf"(?:tell|give|show) me(?= (?:the|{_ASKING}))|explain(?= the difference)",
        r"what's|whats|what (?:is|are)|which (?:is|are)|what(?= the)",
        r"(?:calculate|compute|how much (?:is|are))(?= \d)",
        r"(?:berechne|wie ?viel (?:ist|sind)|combien font|calcul[ae]|calcola|quanto fa)(?= \d)",
        r"(?:sag|nenne) mir(?= (?:der|die|das|den|wer|was|wie|wo|wann|warum))",
        r"was (?:ist|sind)|wie heisst|wie lautet",
        r"(?:peux-tu me dire|pouvez-vous me dire|dis-moi|dites-moi)"
        r"(?= (?:le|la|les|quel|quelle|quels|quelles|qui|comment|pourquoi|où|quand)(?!\w)| l')",
        r"quelle est|quel est|quels sont|quelles sont|c'est quoi",
        r"(?:puedes decirme|podrías decirme|dime)"
        r"(?= (?:el|la|los|las|qué|cuál|cuáles|quién|cómo|cuándo|dónde|por qué)(?!\w))",
        r"cuál es|cuáles son|qué es",
        r"(?:puoi dirmi|potresti dirmi|dimmi)"
        r"(?= (?:il|lo|la|i|gli|le|qual|quali|chi|come|perché|dove|quando)(?!\w)| l')",
        r"qual è|quali sono|cos'è",
        r"(?:pode me dizer|poderia me dizer|diga-me|me diga)"
        r"(?= (?:o|a|os|as|qual|quais|quem|como|por que|onde|quando)(?!\w))",
        r"qual é|quais são|o que é",
        r"(?:скажи|скажите|подскажи|подскажите)"
        r"(?= (?:какая|какой|какое|какие|кто|что|как|где|когда|почему|сколько)(?!\w))",
    )
)
#: "Hi, can you tell me what's the …": so many are taken off.
OPENINGS_MOST = 4

#: Ways of asking, made one.
FRAMES = _rules(
    (r"how (?:do|can|could|would) (?:i|one)|how to", " how i "),
    (r"who(?:'s| is| are)", " who "),
    (r"which", " what "),
    (r"(should|can|may) one", r" \1 i "),
    (r"(soll|kann|darf) man", r" \1 ich "),
    (r"sollte", " soll "),
    (r"wie kann (?:ich|man)", " wie kann ich "),
    (r"comment (?:puis-je|peut-on)", " comment "),
    (r"est-ce que", " "),
    (r"cómo (?:puedo|se puede)", " cómo "),
    (r"come (?:posso|si può)", " come "),
    (r"как (?:мне|можно)", " как "),
)

#: They say nothing by themselves: an article, and verbs whose place alone changes.
EMPTY = frozenset({"the", "is", "are", "do", "does", "ist", "sind"})

#: Verbs that stand elsewhere in "do you know when he was born": only that they stand there counts.
MOVABLE = frozenset({"was", "were", "did", "will", "can", "could", "has", "have", "had", "should"})

#: What such a word begins may stand first or last: "in Python, sort a list".
PREPOSITIONS = frozenset({
    "in", "on", "at", "with", "for", "during", "before", "after", "by", "using", "im",
    "bei", "mit", "für", "auf", "vor", "nach", "während", "en", "dans", "avec", "pour",
    "sur", "avant", "après", "pendant", "con", "para", "antes", "durante", "su", "per",
    "prima", "dopo", "em", "com", "в", "на", "с", "для", "до", "после",
})  # fmt: skip

#: What stands on both sides of these may be turned round.
BETWEEN = re.compile(
    r"(?<!\w)(between|zwischen|entre|tra|fra|между) (\S+) (and|und|et|y|e|и) ([^\s.,;:?!]+)"
)

#: A question that begins so is answered with yes or no.
ASKS_YES_NO = re.compile(
    r"(?:^|[,:]\s)\W*(?:is|are|am|do|does|did|was|were|can|could|may|will|would|should|has|have|had|"
    r"ist|sind|war|kann|darf|soll|muss|hat|est-ce|es|está|son|puede|puedo|è|posso|é|pode)(?!\w)"
)

#: The same in scripts without spaces: what is left out, and what is made one before.
UNSPACED = re.compile(
    "请问|請問|请告诉我|請告訴我|请计算|请你|^请|^請|的|[是在](?=哪|什么|多少|谁)|[吗嗎呢吧]|"
    "を?教えてください|を?教えて|ください|でしょうか|ですか"
)
UNSPACED_FRAMES = (
    ("如何", "怎么"),
    ("怎麼", "怎么"),
    ("哪里", "哪儿"),
    ("可以", "能"),
    ("等于多少", "多少"),
)
