"""`fleet route explain`: why a text goes where it goes."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cli.lines import printable
from cli.route.tables import cut, titled
from cli.screen import out, print_json
from fleet.errors import InvalidRequest
from fleet.settings import Settings
from router.asks import asked_for_claude
from router.classifiers import Classifiers
from router.examples import is_turn, of_routes, shipped
from router.keywords import read
from router.policy import Manner, Setting
from router.replay import Turn, replay
from router.verdict import Verdict

#: Examples that are shown.
NEAREST = 3
#: What stands for the tools of a request: the words decide nothing about it.
TOOL = {"type": "function", "function": {"name": "a_tool"}}


@dataclass(frozen=True, slots=True)
class Near:
    """An example that resembles the text."""

    query: str
    route: str
    source: str
    #: The cosine of the angle between the two embeddings.
    cosine: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is known of one decision."""

    #: The last one is what is explained; those before it are the conversation's.
    turns: Sequence[Turn]
    #: What the rules found in the text, by kind of word.
    rules: Mapping[str, str]
    #: The words that ask for Claude or GPT; empty if none do.
    ask: str
    #: What each classifier says by itself.
    verdicts: Sequence[Verdict]
    #: The most similar examples; none where no embedding is installed.
    nearest: Sequence[Near]
    #: What did not work, and why.
    failed: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        turn = self.turns[-1]
        seen = turn.seen
        return {
            "signals": {
                "model": seen.asked_model,
                "tokens": seen.tokens,
                "tools": seen.has_tools,
                "user_turns": len(seen.conversation.user_turns),
                "ends_with_tool_result": seen.conversation.ends_with_tool_result,
            },
            "rules": dict(self.rules),
            "ask": self.ask,
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "nearest": [asdict(near) for near in self.nearest],
            "earlier": [
                {"text": each.seen.conversation.last, **each.decision.as_dict()}
                for each in self.turns[:-1]
            ],
            "memory": asdict(turn.memory) if turn.memory else None,
            "decision": turn.decision.as_dict(),
            "took_ms": round(turn.took_ms, 3),
            "failed": dict(self.failed),
        }


def run(settings: Settings, request: Mapping[str, Any], model: str, as_json: bool) -> None:
    """Decide, look at it from all sides, show.

    Raises:
        InvalidRequest: the model that is named is unknown or disabled.
    """
    found = explained(settings, request, model)
    if as_json:
        print_json(found.as_dict())
        return
    for part in drawn(found):
        out.print(part, soft_wrap=isinstance(part, Text))


def request_of(text: str | None, conversation: Path | None, tools: bool) -> dict[str, Any]:
    """The request that is explained: the turns of a file, and the text as the user's last one.

    Raises:
        InvalidRequest: there is neither, or the file cannot be used.
    """
    messages = _turns(conversation) if conversation else []
    if text == "-":
        text = sys.stdin.read().rstrip("\n")
    if text is not None:
        messages.append({"role": "user", "content": text})
    if not messages:
        raise InvalidRequest("give a text (`-` reads it from stdin), or --conversation FILE")
    return {"messages": messages, **({"tools": [TOOL]} if tools else {})}


def _turns(file: Path) -> list[dict[str, Any]]:
    try:
        turns = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"--conversation: {file} cannot be read: {error}") from None
    if not isinstance(turns, list) or not all(map(is_turn, turns)):
        raise InvalidRequest(
            f'--conversation: {file} must be a list of turns: [{{"role": "user", "content": "…"}}]'
        )
    return turns


def explained(settings: Settings, request: Mapping[str, Any], model: str) -> Explanation:
    """Decide a request as a router of these settings would, and ask each classifier alone."""
    router = settings.router
    classifiers = Classifiers(settings)
    turns = replay(
        classifiers.chain(router.classifier).classify,
        request,
        Setting(settings.catalogue, Manner(router.threshold, router.unsure_route)),
        asked_model=model,
        remembers=router.conversation_s > 0,
    )
    conversation = turns[-1].seen.conversation
    alone = (classifiers.chain(name).classify(conversation) for name in ("keywords", "embedding"))
    verdicts = {verdict.classifier: verdict for verdict in alone}
    works = "embedding" in verdicts
    nearest = _nearest(settings, classifiers, conversation.last) if works else []
    return Explanation(
        turns=turns,
        rules=_rules(conversation.last),
        ask=asked_for_claude(conversation.last),
        verdicts=tuple(verdicts.values()),
        nearest=nearest,
        failed=classifiers.failures.as_dict(),
    )


def _rules(text: str) -> dict[str, str]:
    """What the lexicon finds, by kind of word."""
    seen = read(text)
    kinds = ("present", "topic", "action", "reasoning", "mathematics", "make", "plain", "code")
    found = {kind: getattr(seen, kind) for kind in (*kinds, "creative")}
    return {kind: match[0].strip() for kind, match in found.items() if match}


def _nearest(settings: Settings, classifiers: Classifiers, text: str) -> list[Near]:
    if not classifiers.embedding or not text.strip():
        return []
    import numpy as np

    from router.fit import prepare

    embedder = classifiers.embedding.embedder
    material = prepare([*shipped(), *of_routes(settings.router.routes)], embedder)
    lengths = np.linalg.norm(material.vectors, axis=1)
    cosines = material.vectors @ embedder.embed([text])[0] / lengths
    best = np.argsort(-cosines)[:NEAREST]
    examples = [(material.examples[n], float(cosines[n])) for n in best]
    return [Near(e.query, e.route, e.source, round(cosine, 4)) for e, cosine in examples]


def drawn(found: Explanation) -> Iterator[RenderableType]:
    """The whole explanation, part by part. Pure."""
    turn = found.turns[-1]
    decision = turn.decision
    yield Text(printable(f"{decision.route} → {' → '.join(decision.plan)}"), style="bold")
    yield Text("\n".join(f"  {printable(reason)}" for reason in decision.reasons))
    for name, why in found.failed.items():
        yield Text(printable(f"{name} failed: {why}"), style="red")
    yield signal_table(found)
    yield verdict_table(found.verdicts)
    if found.nearest:
        yield near_table(found.nearest)
    if len(found.turns) > 1:
        yield turn_table(found.turns)
    sure = f"confidence {decision.confidence:.2f}"
    yield Text(f"Decided by {decision.classifier}, {sure}, in {turn.took_ms:.1f} ms")


def signal_table(found: Explanation) -> Table:
    """What was read before anybody decided."""
    seen = found.turns[-1].seen
    table = titled("Signals", "", "")
    table.show_header = False
    table.add_row("model asked for", printable(seen.asked_model))
    table.add_row("tokens, estimated", f"{seen.tokens:,}")
    table.add_row("tools", "yes" if seen.has_tools else "no")
    table.add_row("ask for Claude or GPT", cut(found.ask) or "no")
    for kind, words in found.rules.items():
        table.add_row(f"words: {kind}", cut(words))
    return table


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """What each classifier says."""
    table = titled("Verdicts", "classifier", "route", "scores", "domain", "why")
    for each in verdicts:
        scores = sorted(each.scores.items(), key=lambda pair: -pair[1])
        table.add_row(
            each.classifier,
            printable(each.route),
            printable("\n".join(f"{route} {score:.2f}" for route, score in scores)),
            each.domain,
            printable("\n".join(each.reasons)),
        )
    return table


def near_table(nearest: Sequence[Near]) -> Table:
    """The examples that resemble the text most."""
    table = titled("Nearest examples", "cosine", "route", "source", "query")
    for each in nearest:
        row = (printable(each.route), printable(each.source), cut(each.query))
        table.add_row(f"{each.cosine:.3f}", *row)
    return table


def turn_table(turns: Sequence[Turn]) -> Table:
    """The user's turns: what the words said, what was remembered, what was decided."""
    table = titled("Turns", "text", "words say", "remembered", "decided", "held")
    for each in turns:
        decision, memory, verdict = each.decision, each.memory, each.verdict
        table.add_row(
            cut(each.seen.conversation.last),
            printable(f"{verdict.route} {verdict.confidence:.2f}") if verdict else "–",
            printable(f"{memory.route} ({memory.model})") if memory else "–",
            printable(decision.route),
            f"{decision.held}" if decision.held else "",
        )
    return table
