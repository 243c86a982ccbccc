"""`fleet cache try` and `fleet cache eval`: pairs of questions, judged as a router would."""

from pathlib import Path

from rich.text import Text

from cli.lines import printable
from cli.route.tables import cut, titled
from cli.screen import out, print_json
from fleet.settings import Settings
from router import embedders
from router.pairs import Judged, Pair, Tally, pairs, tally
from router.similar import why_not

#: Thresholds that are tried beside the one that is set.
TRIED = (0.0, 0.9, 0.92, 0.94, 0.96, 0.98)


def show(settings: Settings, one: str, other: str, threshold: float | None, as_json: bool) -> None:
    """Show one pair.

    Raises:
        ConfigError: no embedding is installed.
    """
    least = _threshold(settings, threshold)
    (judged,) = judge(settings, [Pair(one, other)])
    match = judged.matches(least)
    if as_json:
        told = {"similarity": judged.similarity, "threshold": least, "why_not": judged.why_not}
        print_json({**told, "match": match})
        return
    near = "near enough" if judged.similarity >= least else "too far apart"
    out.print(f"similarity {judged.similarity:.4f}, threshold {least}: {near}", markup=False)
    words = judged.why_not or "they say the same"
    out.print(printable(f"words: {words}"), markup=False, soft_wrap=True)
    out.print("They share an answer." if match else "Each gets its own answer.")


def evaluate(settings: Settings, file: Path, threshold: float | None, as_json: bool) -> None:
    """Show how many matches are right, at the threshold that is set and at others.

    Raises:
        ConfigError: the file cannot be used (the message names the line), or no embedding is
            installed.
    """
    least = _threshold(settings, threshold)
    judged = judge(settings, pairs(file))
    rows = [tally(judged, each) for each in sorted({*TRIED, least})]
    wrong = [each for each in judged if each.matches(least) and not each.pair.same]
    if as_json:
        shown = [{"a": each.pair.a, "b": each.pair.b} for each in wrong]
        print_json({"threshold": least, "figures": [r.as_dict() for r in rows], "wrong": shown})
        return
    _draw(rows, least, wrong)


def judge(settings: Settings, given: list[Pair]) -> list[Judged]:
    """How near each pair is, and whether its words let it match.

    Raises:
        ConfigError: no embedding is installed.
    """
    embedder = embedders.load(embedders.best(), settings.router.threads)
    found = []
    for pair in given:
        one, other = embedder.embed([pair.a, pair.b])
        similarity = round(float(one @ other), 4)
        found.append(Judged(pair, similarity, why_not(pair.a, pair.b)))
    return found


def _threshold(settings: Settings, threshold: float | None) -> float:
    return settings.cache.semantic.threshold if threshold is None else threshold


def _draw(rows: list[Tally], least: float, wrong: list[Judged]) -> None:
    table = titled("Pairs that match", "threshold")
    for column in ("right", "wrong", "precision", "paraphrases found"):
        table.add_column(column, justify="right")
    for row in rows:
        mark = f"{row.threshold} ←" if row.threshold == least else str(row.threshold)
        precision = "–" if row.precision is None else f"{row.precision:.3f}"
        recall = f"{row.right} of {row.same}"
        table.add_row(mark, str(row.right), str(row.wrong), precision, recall)
    out.print(table)
    for each in wrong:
        line = printable(f"wrong: {cut(each.pair.a)} | {cut(each.pair.b)} ({each.similarity})")
        out.print(Text(line, style="red"), soft_wrap=True)
