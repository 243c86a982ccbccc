"""Whether the words ask that Claude or GPT answer. Pure."""

import re
import unicodedata

from router.words import UNSPACED, excerpt


def asked_for_claude(turn: str) -> str:
    """The words with which a turn asks to be answered by Claude or GPT; empty if it does not.

    To name them is not to ask: the name must stand where an order, a wish or an address
    has it ("use Claude", "I want Claude to", "@claude"), and must not be part of another
    name ("Claude Monet", "Jean-Claude").
    """
    text = unicodedata.normalize("NFKC", excerpt(turn)).replace("’", "'")
    if not _MENTION.search(text) or _ABOUT_WORDS.match(text):
        return ""
    found = next((found for ask in _ASKS if (found := ask.search(text))), None)
    return found[0].strip(" \t\n.,;:!?-。，、！？") if found else ""


_MENTION = re.compile(r"claude|gpt|克[劳勞]德|клод|クロード|클로드|지피티", re.IGNORECASE)
#: A request about the words themselves.
_ABOUT_WORDS = re.compile(r"\W*(?:translate|how do (?:i|you) say|übersetze|tradu\w+)\b", re.I)

#: The names, and what must not stand beside them: a hyphen, a genitive, a family name, a "not".
_NAME = (
    rf"(?<![^\W{UNSPACED}])(?<!-)(?:the )?(?:anthropic's |openai's )?(?:"
    r"claude(?:[ -]?(?:opus|sonnet|haiku|\d(?:\.\d)?))*(?:'(?:a|owi|em))?"
    r"|chat-? ?gpt(?:[ -]?\d\w?)?|gpt[ -]?\d(?:\.\d)?o?(?:[ -](?:turbo|mini|pro))*"
    r"|克[劳勞]德|клод[ау]?|クロード|클로드|챗 ?(?:gpt|지피티))(?: api| model)?"
    rf"(?![^\W{UNSPACED}])(?![-–·・]\w|的(?!回答)|'s (?!answer|opinion|help|take|view))"
    r"(?!\s+(?-i:[A-ZÀ-ÞА-Я][a-zà-ÿа-я]))"
    r"(?! (?:monet|debussy|shannon|rains|mckay|van |l[eé]vi|giroux))"
    r"(?!(?: \w+){0,2} (?:nicht|niet)\b)"
)
#: Where a sentence begins, with the courtesies that may come before an order.
_START = (
    r"(?:^|[.!?;:,\n(。！？，、；：]|\s[-–—]\s)\s*(?:(?:please|pls|hey|ok(?:ay)?|so|and|then|now"
    r"|just|actually|instead|no|yes|(?:can|could|would|will) you|you (?:should|must)|let's"
    r"|can i(?= get)|i(?:'d like| want| need) you to|bitte|kannst du|könntest du|s'il te plaît"
    r"|peux-tu|pouvez-vous|por favor|puedes|per favore|puoi|pode|proszę|alsjeblieft|kun je"
    r"|пожалуйста)[\s,]+){0,3}"
)
#: Small words between an order and the name.
_FILL = (
    r"(?:(?:only|just|instead|rather|me|an?|our|your|my|please|bitte|doch|mal|lieber|dafür|das|zu|an"
    r"|plutôt|à|du|mejor|solo|por favor|al?|invece|ao?|o|aan|liever|den|dit|het|лучше|у) ){0,3}"
)
#: Up to five words that are no new thing and no "not": "send this to", not "send an email to".
_THIS = (
    r"(?: (?!(?:an?|une?|eine?[nm]?|un[oa]|uma?|een|love|regards|without|ohne|sans|sin|senza"
    r"|not|never)\b)[\w'-]+){0,5}?"
)
_ORDER = (
    r"(?:use|try|ask|consult|query|choose|pick|have|let|get|only|escalate to"
    r"|(?:switch|change|go)(?: over)? (?:to|with)|(?:talk|speak) (?:to|with)"
    r"|nutze|benutze|verwende|nimm|frage?|lass|konsultiere|wechs(?:le|el) zu"
    r"|ich (?:möchte|will),? dass|utilise[rz]?|essaye[rz]?|consulte[rz]?|demande[rz]?|laisse"
    r"|(?:je veux|je voudrais|j'aimerais) que|us[ae]|utili[zc][ae]|utilizza|prueba|consult[ae]"
    r"|pregúnt[ae](?:le|selo)?|pregunt[ae](?:le)?|deja que|chiedi(?:lo)?|pergunt[ae]|peça|deix[ae]"
    r"|(?:quiero|quisiera|voglio|vorrei|quero|queria) (?:che|que)|użyj|zapytaj|spytaj|niech"
    r"|chcę,? (?:żeby|aby)|gebruik|vraag|probeer|laat|ik wil(?: graag)? dat|используй(?:те)?"
    r"|спроси(?:те)?|попроси|пусть|хочу,? чтобы|استخدم|اسأل)"
)
_HAND_OVER = (
    r"(?:send|pass|forward|give|hand|route|escalate|move|redirect|refer|delegate|submit|run|take"
    r"|gib|leite|schicke?|sende|passe[rz]?|envoie|transmets|transfère|confie|pása(?:le|lo|selo)?"
    r"|envía(?:lo)?|manda(?:lo)?|passa(?:lo)?|invia(?:lo)?|envie|mande|przekaż|wyślij|stuur|geef"
    r"|передай|отправь)"
)
_ANSWER = (
    r"(?:answer|reply|respond|redo|do|retry|try|solve|translate|rewrite|check|handle|review"
    r"|summari[sz]e|repeat|regenerate|fix|write|run|antworte|beantworte|löse|prüfe|répon(?:ds|dez)"
    r"|responde|contesta|rispondi|responda|odpowiedz|beantwoord|antwoord|ответь|реши)"
)
_TO = r"(?:to|through|by|past|an|à|a|ao|para(?: o)?|do|naar|aan|в|к|это|этот вопрос)"
_WITH = (
    r"(?:with|using|via|in|through|by|mit|über|avec|con|com|met|przez|za pomocą|с помощью"
    r"|через)(?: o)?"
)
_JOB = (
    r"[^.?!\n]{0,30}\b(?:this|that|it|my|me|these|das|dies\w*|mir|mein\w*|ça|cela|ceci|esto"
    r"|questo|isto|dit|это)\b"
)
_WISH = (
    r"\b(?:i|we)(?:'d| would)? (?:really )?(?:want|need|prefer|(?<=d )like|rather (?:use|ask|have))"
    r"(?: to (?:use|ask|try|hear from|(?:speak|talk) (?:to|with)))?"
)
_CHINESE_ORDER = (
    r"(?:^|[\s。！？，,：:]|[请請你我那就]|帮我|麻烦|直接|把[^。！？\n]{1,15})"
    r"(?:使?用|[让讓叫请請]|[问問](?:一下|问)?|[转轉]?[交发發][给給]|[换換]成|切[换換]到) ?"
)
_JAPANESE_ORDER = (
    r"(?:さん)?(?:に|で|を使って|へ)[^。！？\n]{0,20}"
    r"(?:て|で)(?:ください|下さい|くれ|ほしい|欲しい|もらえ|[。！!]|$)"
)
_KOREAN_ORDER = (
    r"(?:[을를]|에게|한테|으?로|에) ?[^.?!\n]{0,20}(?:줘|주세요|주시|해라|[해봐써][.!]?$)"
)
_ASKS = tuple(
    re.compile(ask, re.IGNORECASE)
    for ask in (
        rf"{_START}{_ORDER} {_FILL}{_NAME}",
        rf"{_START}{_HAND_OVER}{_THIS} {_TO} {_NAME}",
        rf"{_START}{_ANSWER}{_THIS} {_WITH} {_NAME}",
        rf"{_START}(?:using|with|via|mit|avec|con|com) {_NAME}\s*[,:]",
        rf"{_START}(?:can|could|would|will|kann|könnte|kan) {_NAME}{_JOB}",
        rf"{_START}(?:can|could|may) [iw]e? (?:please )?(?:speak|talk|switch|chat) \w+ {_NAME}",
        rf"{_WISH} {_NAME}(?:'s| to| for| on| here| instead|\W*$)",
        rf"{_START}what (?:would|might) {_NAME} (?:say|think|answer|suggest)",
        # "Hey ChatGPT" is how many greet any assistant: a habit, not an ask.
        rf"{_START}(?:@|(?:hey|hi|hello|ok) (?!chat)){_NAME}",
        rf"^\W*{_NAME}\s*[:：](?! *(?:an?|the|its|what)\b)",
        rf"^\W*{_NAME},? (?:please|can you|could you|would you|help)\b",
        rf"{_CHINESE_ORDER}{_NAME}",
        rf"{_NAME}{_JAPANESE_ORDER}",
        rf"{_NAME}{_KOREAN_ORDER}",
    )
)


SIGNS: tuple[str, ...] = ("asked",)


def mentions(turn: str) -> bool:
    """Whether the turn holds such a name."""
    return bool(_MENTION.search(excerpt(turn)))


def ask_signs(turn: str) -> tuple[bool, ...]:
    """One for each of `SIGNS`."""
    return (bool(asked_for_claude(turn)),)


def around(turn: str) -> list[tuple[str, str]]:
    """The text beside each name."""
    text = excerpt(turn).casefold()
    return [
        (text[max(0, m.start() - 48) : m.start()], text[m.end() : m.end() + 48])
        for m in _MENTION.finditer(text)
    ]
