"""The rules that find an ask at a name: each gives the place where the asking words begin. Pure."""

import re
from collections.abc import Callable, Iterator
from typing import Final

from router.asks import phrases, words
from router.asks.places import Place, Token

#: How far before the name an order or a wish may stand, in words.
ORDER_REACH, WISH_REACH = 9, 12

_OPENING = re.compile(
    r"(?:^|\n|\bhey |\[|--)(?:use|model|via|backend|engine|route|to|llm|modell|modelo)? ?"
    r"(?:[:=] ?|(?<=--model) )$"
)
_TITLE = re.compile(r"[:：] *(?:an?|the|its|what is|wer|was)\b")
_PLEASE = re.compile(
    r",? ?(?:please|pls|plz|can (?:you|u)|could (?:you|u)|would you|help|bitte|per favore|stp"
    r"|por favor)\b"
)
_CLAUSE_END = re.compile(r"[^.!?:,;\n]{0,30}([.!?:,;\n]|$)")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_CHINESE_QUESTION = re.compile(r"[吗？]|怎")


def ordered(place: Place) -> int | None:
    """Where the order for the name begins: "please ask Claude", "switch over to GPT-4"."""
    left = place.left
    if left and left[-1].word in ("tell", "instruct") and place.right[:1] == ["to"]:
        return _courteous_start(left, len(left) - 1) if _may_order(place.ahead[:-1]) else None
    first = max(_before_fillers(place.ahead, most=4) - 1, 0)
    # The order nearest to the name: fillers and orders share some words.
    for spot in _backwards(left, first):
        if _is_order(left[spot].word, place) and _may_order(place.ahead[:spot]):
            return _courteous_start(left, spot)
    return None


def _is_order(word: str, place: Place) -> bool:
    return word in words.ORDER or (place.kind in ("gpt", "maker") and word in words.CALL)


def handed_over(place: Place) -> int | None:
    """Where "give this to Claude" begins: an order to hand over, its object, the receiver."""
    left = place.left
    for spot in _backwards(left, max(len(left) - ORDER_REACH, 0)):
        between = place.ahead[spot + 1 :]
        if left[spot].word in words.HAND_OVER and _has_receiver(between):
            fits = _is_the_question(between) and _may_order(place.ahead[:spot])
            return _courteous_start(left, spot) if fits else None
    return None


def _has_receiver(between: list[str]) -> bool:
    if words.TO.any(between[-3:]):
        return True
    if words.ME.any(between[:1]):
        return len(between) == 1
    return len(between) < 4 and words.THIS.any(between)


def _is_the_question(between: list[str]) -> bool:
    """Whether the thing handed over may be the question: no message, nothing new."""
    if words.MESSAGE.any(between) or words.NEGATION.any(between):
        return False
    return len(between) < 2 or between[0] not in words.NEW


def let(place: Place) -> int | None:
    """Where "let Claude answer" begins: a word that lets, near the name, and some work."""
    left = place.left
    for spot in _backwards(left, max(len(left) - ORDER_REACH + 2, 0)):
        if left[spot].word in words.LET and _may_order(place.ahead[:spot]):
            between = place.ahead[spot + 1 :]
            sure = left[spot].word not in words.THAT and len(between) < 3
            if sure or _works(place, between):
                return _courteous_start(left, spot)
    return None


def wished(place: Place) -> int | None:
    """Where a wish for the name begins: "I'd rather have Claude", "I want it from GPT-4"."""
    before = [token.word for token in place.before]
    for spot in _backwards(place.before, max(len(before) - WISH_REACH, 0)):
        if before[spot] in words.WISH:
            between = before[spot + 1 :]
            fits = _is_wish(place, between) and not words.NEGATION.any(before[:spot][-3:])
            return place.before[spot].start if fits else None
    return None


def _is_wish(place: Place, between: list[str]) -> bool:
    if words.QUESTION.any(between) or words.BUILD.any(between) or words.ABOUT.any(between[-1:]):
        return False
    by_it = words.LET.any(between) or words.WITH.any(between[-1:])
    return words.AFTER_WISH.all(between) or (by_it and _works(place, between))


def with_name(place: Place) -> int | None:
    """Where "answer this with Claude" or "the same again via GPT-4" begins."""
    first = max(_before_fillers(place.ahead, most=3) - 1, 0)
    near = _backwards(place.left, first)
    spot = next((at for at in near if place.ahead[at] in words.WITH), None)
    if spot is None:
        return None
    ahead = place.ahead[:spot]
    sent = words.MESSAGE.any(ahead) and not words.DEMONSTRATIVE.any(ahead)
    if words.BUILD.any(ahead) or sent or not _may_be_done(ahead):
        return None
    return place.left[0].start if _is_means(place, ahead, place.ahead[spot]) else None


def _may_be_done(ahead: list[str]) -> bool:
    """Whether these words may order some work: a verb of work at the start is enough."""
    start = [word for word in ahead if word not in words.COURTESY][:3]
    at_work = words.WORK.any(start) or words.LET.any(start)
    told = words.SUBJECT.any(start[:1]) or words.QUESTION.any(start[:1])
    return _may_order([] if at_work and not told else ahead)


def _is_means(place: Place, ahead: list[str], preposition: str) -> bool:
    ends = words.CLOSING.all(_first_part(place.right))
    if words.LEAD_IN.all(ahead):
        return ends or words.WORK.any(place.right[:2])
    if words.AGAIN.any(ahead) and ends:
        return True
    works = words.WORK.any(ahead[:5]) and preposition not in words.ABOUT
    return works and (ends or words.THIS.any(ahead))


def worked(place: Place) -> int | None:
    """Where "Claude should answer", "could Claude look at this" begins."""
    ahead, right = place.ahead, place.right
    if not right or "or" in right or words.NEGATION.any(right[:3]):
        return None
    if ahead[-1:] == ["for"] and right[0] == "to" and "possible" in ahead:
        return place.left[0].start
    if right[0] in words.MUST and len(ahead) < 4 and words.WORK.any(right[1:4]):
        return place.start
    if not words.CAN.any(ahead[-1:]) or len(ahead) > 4 or words.QUESTION.any(ahead):
        return None
    new = ahead[-1] not in words.ABLE and (words.NEW.any(right[1:5]) or "the" in right[1:5])
    given = new or words.THIS.any(right[:7]) or words.ME.any(right[:7])
    return place.left[0].start if given and words.WORK.any(right[:5]) else None


def wanted_opinion(place: Place) -> int | None:
    """Where "Claude's take on this, please" or "what would Claude say" begins."""
    ahead, right = place.ahead, place.right
    says = words.SAY.any(right[:1]) or (len(ahead) < 4 and words.SAY.any(ahead))
    asked = words.WHAT.any(ahead[:1]) and says
    own = place.name.casefold().endswith("'s") and words.OPINION.any(right[:2])
    own = own and words.OWNED.all(ahead)
    from_it = words.OPINION.any(ahead[-4:]) and words.WITH.any(ahead[-3:])
    told = words.SUBJECT.any(ahead) or words.QUESTION.any(ahead)
    from_it = from_it and (not told or words.WISH.any(ahead))
    if not (asked or own or from_it):
        return None
    return place.left[0].start if place.left else place.start


def addressed(place: Place) -> int | None:
    """Where the turn speaks to the name: "@claude", "Claude: ...", "hey Claude, ...", "/gpt4"."""
    left, right = place.left_text, place.right_text.lstrip()
    if left[-1:] in ("@", "/") and left and not left[-2:-1].strip():
        return place.start - 1
    if _OPENING.search(left):
        return place.start
    hail = [token.word for token in place.before]
    # "Hey ChatGPT" is how many greet any assistant: a habit, not an ask.
    if hail == ["hey"] and right.startswith(",") and place.kind != "gpt":
        return place.before[0].start
    if len(hail) > 2 or not words.COURTESY.all(hail):
        return None
    if left.strip() and not left.rstrip().endswith((".", "!", "?", "\n", "[")):
        return None
    right = right.lstrip("]) ")
    titled = right.startswith((":", "：")) and not _TITLE.match(right)
    return place.start if titled or _PLEASE.match(right) else None


def task_for(place: Place) -> int | None:
    """Where "this question is for Claude" begins."""
    ahead = place.ahead
    if not words.FOR.any(ahead[-2:]) or len(ahead) > 8 or not words.TASK.any(ahead):
        return None
    named = [word for word in ahead[:-2] if word not in words.IS]
    no_task = words.BUILD.any(named) or words.QUESTION.any(named) or words.NEGATION.any(ahead[-3:])
    return None if no_task else place.left[0].start


def bare(place: Place) -> int | None:
    """Where a name stands alone as a wish: "GPT-4, please", "Over to Claude."."""
    if words.GREETING.any(token.word for token in place.before):
        return None
    if not words.LITTLE.all(place.ahead) or not words.BARE.all(place.right):
        return None
    if place.left_text.rstrip()[-1:] in ("'", '"', "=", "/"):
        return None
    end = _CLAUSE_END.match(place.right_text.lstrip())
    if not end or end[1] == "?" or (end[1] in (",", ";") and not place.right):
        return None
    nothing_else = not place.left_text.strip() and not place.right_text.strip()
    titled = end[1] == ":" and not place.left and not place.right
    return None if nothing_else or titled else place.start


def verb_after(place: Place) -> int | None:
    """Where a sentence begins whose verb comes last: "Claude'a sor", "Claude से पूछो"."""
    near = place.right[:4]
    if words.NEGATION.any(near) or words.MESSAGE.any(near):
        return None
    if not words.ORDER_AFTER.any(place.right[:6]) or words.QUESTION.any(place.ahead):
        return None
    told = any(word in ("i", "ich", "ik") for word in place.ahead)
    return None if told and not words.WISH.any(place.ahead) else place.start


def unspaced(place: Place) -> int | None:
    """Where an order stands in Chinese, Japanese, Korean or Thai."""
    left, right = place.left_text[-12:], place.right_text[:45]
    for order in (phrases.ZH, phrases.TH):
        if (found := order.search(left)) and not found["no"]:
            return place.start - len(found["ask"])
    for order, ban in ((phrases.JA, phrases.JA_NOT), (phrases.KO, phrases.KO_NOT)):
        if order.match(right) and not ban.search(right[:32]):
            return place.start
    if left.strip() or not _HAN.search(right) or _CHINESE_QUESTION.search(right):
        return None
    return place.start if phrases.ZH_AFTER.match(right.lstrip()) else None


def not_you(place: Place) -> int | None:
    """Where the turn says who shall not answer: "not you", "statt des lokalen Modells"."""
    near = f"{place.left_text[-90:]} {place.name} {place.right_text[:70]}"
    return place.start if phrases.NOT_YOU.search(near) else None


def named_again(place: Place) -> int | None:
    """Where the name stands that the next sentence orders: "What about Claude? Ask it."."""
    return place.start if phrases.PRONOUN.search(place.right_text) else None


RULES: Final[dict[str, Callable[[Place], int | None]]] = {
    "ordered": ordered,
    "handed over": handed_over,
    "let": let,
    "wished": wished,
    "with the name": with_name,
    "worked": worked,
    "opinion": wanted_opinion,
    "addressed": addressed,
    "task for": task_for,
    "bare": bare,
    "verb after": verb_after,
    "unspaced": unspaced,
    "not you": not_you,
    "named again": named_again,
}


def _may_order(before: list[str]) -> bool:
    """Whether an order may stand after these words of its clause."""
    said = " ".join(before)
    if phrases.POLITE.search(said):
        return not phrases.HOW.match(said)
    asks = bool(before) and before[0] in words.QUESTION and before[0] != "why"
    rest = before[: _before(before, words.COURTESY)]
    if words.JOINING.any(before[len(rest) :]) and not asks:
        return True
    if words.NEGATION.any(before[-4:]):
        return False
    if not rest:
        return before not in (["to"], ["should"])
    if words.WISH.any(before):
        return not words.QUESTION.any(rest)
    # "Reasons to switch to Claude": without a wish before it, "to" orders nothing.
    if "to" in before[len(rest) :]:
        return False
    return len(rest) < 5 and not words.SUBJECT.any(rest) and not words.QUESTION.any(rest)


def _works(place: Place, between: list[str]) -> bool:
    return words.WORK.any(between) or words.WORK.any(place.right[:6])


def _before(said: list[str], fillers: words.Words) -> int:
    """Where the run of such words at the end begins."""
    at = len(said)
    while at and said[at - 1] in fillers:
        at -= 1
    return at


def _before_fillers(ahead: list[str], most: int) -> int:
    return max(_before(ahead, words.FILL), len(ahead) - most)


def _first_part(right: list[str]) -> list[str]:
    """The words up to the first that joins another part."""
    joins = (at for at, word in enumerate(right) if word in words.JOINING)
    return right[: next(joins, len(right))]


def _backwards(tokens: list[Token] | tuple[Token, ...], first: int) -> Iterator[int]:
    return iter(range(len(tokens) - 1, first - 1, -1))


def _courteous_start(left: list[Token], spot: int) -> int:
    while spot > 0 and left[spot - 1].word in words.COURTESY:
        spot -= 1
    return left[spot].start
