"""Where a text names Claude, GPT or their makers, in the usual spellings and misspellings. Pure."""

import re
from collections.abc import Iterator
from typing import Literal

Maker = Literal["anthropic", "openai"]

#: A letter or digit of an alphabet that puts spaces between words.
_LETTER = r"[0-9a-z_\u00c0-\u024f\u0370-\u03ff\u0400-\u04ff\u1e00-\u1eff]"
#: What a language with cases hangs on a name: "Claude'a", "GPT-4:n", "ChatGPT-t".
_ENDING = r"(?:['\-:](?:[aeiouyıüäö]|[a-zà-žıəőű]{1,5}))?"
_VERSION = r"(?:[ -]?(?:opus|sonnet|haiku|instant|\d{1,2}(?:\.\d{1,2})?(?!\d)))*"
_CLAUDE = (
    r"(?:claude?|cladue|calude|cluade|claued|caude|cloude)"
    rf"(?:(?:owi|ovi|em|om|u|a|ea|en|lle|lla|lta|s)(?!{_LETTER}))?{_VERSION}"
)
_GPT = (
    r"(?:(?:chat|cha|chta|caht|cht|chatt|czat|čet|chát)a?[ -]?(?:gpt|gtp|gbt|pgt|gpd)"
    r"|gtp(?=[ -]?\d)|gpt)(?:[ -]?\d(?:\.\d)?o?)?(?:[ -](?:turbo|mini))*"
    r"(?:owi|em|u|s|y?[aei]|[td]?[ae]n)?"
)
_MAKER = r"(?:open ?ai|anthropi[ck])(?:(?:u|iem|owi|ovi|s)(?![a-z]))?"
_CYRILLIC = (
    r"клод(?:а|у|ом|е|ові|і)?(?:[ -]?\d)?"
    r"|(?:чат(?:у|а|ом)?[ -]?)?(?:гпт|gpt|дж[иі]п[иі]т[иі])(?:[ -]?\d)?"
)
_GREEK = r"κλ[οω]ντ|τσατ ?τζι ?πι ?τι"
_HEBREW = r"(?<![א-ת])[ובלמשהכ]{0,2}(?:קלוד|(?:צ['׳]?א?ט ?)?ג['׳]?י ?פי ?טי)(?![א-ת])"
_ARABIC = (
    r"(?<![\u0621-\u064a])[وفبلك]{0,2}(?:ال)?(?:كلود|(?:ت?شات )?جي ?بي ?تي)(?![\u0621-\u064a])"
)
_HINDI = r"(?:क्ल[ॉाोौ]ड|(?:चैट ?)?जी ?पी ?टी)(?![\u0900-\u0963])"
_UNSPACED = (
    r"克[劳勞]德|クロード|클로드|(?:チャット|챗 ?|쳇 ?)(?:gpt|지피티|ジーピーティー)|지피티"
    r"|คล็อด|โคล้ด|(?:แช[ทต] ?)?จีพีที"
)
_MAKER_ELSEWHERE = (
    r"ओपन ?एआई|антропик\w?|앤[트쓰]로픽|오픈 ?(?:ai|에이아이)"
    r"|أنثروبيك|אנתרופיק"
)

#: What every name has a piece of: most texts have none and are done with after this search.
_ROUGHLY = re.compile(
    r"clau|clad|calu|clua|caud|cloude|gpt|gtp|gbt|pgt|gpd|open ?ai|anthropi|клод|гпт|дж[иі]п|антроп"
    r"|κλ[οω]ντ|τζι ?πι|קלוד|י ?פי|אנת|كلود|جي ?بي|أنثر|क्ल|जी ?पी|ओपन|克[劳勞]|クロード|클로드|지피"
    r"|앤[트쓰]로|오픈 ?(?:ai|에이)"
    r"|チャット|คล็อด|โคล้ด|จีพี"
)
#: … and what those have that mean a GPT or its maker.
_OF_OPENAI = re.compile(
    r"gpt|gtp|gbt|pgt|gpd|open|гпт|дж[иі]п|τζι|י ?פי|جي ?بي|जी ?पी|ओपन|ジーピー|지피|오픈|จีพี",
    re.IGNORECASE,
)
#: How far from the start of a name its piece may stand: "chatta gpt".
_PIECE_REACH = 10

_SPACED_NAME = (
    rf"(?<!{_LETTER})(?:(?P<claude>{_CLAUDE})|(?P<gpt>{_GPT})|(?P<maker>{_MAKER})"
    rf"|(?P<clod>{_CYRILLIC}|{_GREEK})){_ENDING}(?!{_LETTER})(?: (?:api )?model[ol]?\b)?"
)
#: All that an ASCII text can hold.
_ASCII_NAME = re.compile(_SPACED_NAME, re.IGNORECASE)
_NAME = re.compile(
    rf"{_SPACED_NAME}"
    rf"|(?P<other>{_UNSPACED}|{_HEBREW}|{_ARABIC}|{_HINDI})(?:[ -]?(?:\d|opus|sonnet|haiku))?"
    rf"|(?P<makers>{_MAKER_ELSEWHERE})",
    re.IGNORECASE,
)


def maker(name: re.Match[str]) -> Maker:
    """Who makes the model that a name is of."""
    return "openai" if _OF_OPENAI.search(name[0]) else "anthropic"


def names(text: str) -> Iterator[re.Match[str]]:
    """Each name of a text; the group that matched says of whom.

    A Claude may be a person, a GPT is none.
    """
    folded = text.casefold()
    piece = _ROUGHLY.search(folded)
    if piece and len(folded) != len(text):
        # Some letter became two: the places differ.
        yield from _NAME.finditer(text)
        return
    match = (_ASCII_NAME if text.isascii() else _NAME).match
    done = 0
    while piece:
        nearby = range(max(done, piece.start() - _PIECE_REACH), piece.start() + 1)
        name = next(filter(None, (match(text, at) for at in nearby)), None)
        if name:
            yield name
        done = name.end() if name else piece.start() + 1
        piece = _ROUGHLY.search(folded, done)
