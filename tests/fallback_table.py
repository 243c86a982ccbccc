"""The tables of docs/fallback.md, and the faults they speak of as marks for the fakes."""

import re
from dataclasses import dataclass

from tests.support import ROOT

DOCUMENT = ROOT / "docs" / "fallback.md"

#: The servers of the table, and the models that are asked there.
SERVERS = {"llama-server": "fast", "Anthropic": "claude", "OpenAI's form": "gpt"}
#: What a fake is told to do, for each fault of the table. A llama-server that keeps its answers
#: would go on; `old` is one that does not. Slow ones are read word by word on a busy machine, too.
FAULTS = {
    "refuses the connection": "",
    "hangs up without an answer": "refuse=1",
    "is silent before the first token": "stall=0",
    "is silent in mid-stream": "stall=2 old=1 tps=20",
    "sends only comments": "instead=pings",
    "breaks off before the first token": "cut=0 old=1",
    "breaks off in mid-stream": "cut=2 old=1 tps=20",
    "breaks off, and has kept the answer": "cut=2",
    "sends a chunk that is none": "malformed=2 old=1 tps=20",
    "429 with `Retry-After`": "fail=429 retry_after=7",
    "500": "fail=500",
    "503, loading its model": "loading=1",
    "503": "fail=503",
    "529, overloaded": "fail=529",
    "an error as an event in mid-stream": "error_event=2 old=1 tps=20",
    "ends without a reason to end": "noend=1 old=1 tps=20",
    "an empty answer, properly ended": "n=0",
    "200 with a page of HTML": "instead=html",
    "200 with a JSON body": "instead=json",
    "200 with an empty body": "instead=empty",
    "200 with comments and empty lines": "instead=blank",
    "the prompt is too long for it": "context=1",
    "400, the caller's own mistake": "fail=400",
    "401, it does not take the key": "fail=401",
}


@dataclass(frozen=True)
class Row:
    """What a caller sees of a fault."""

    fault: str
    server: str
    #: `code` of the only entry of `tried`, or nothing.
    code: str
    #: Whether its reader had text, which is taken back if another model answers.
    restarts: bool
    #: HTTP status and code of the error, or `answers`: where no other model may answer …
    alone: str
    #: … and where `spare` may; the name of who answers, or the error.
    with_next: str

    @property
    def named(self) -> str:
        """The row, as a test is called."""
        return f"{self.fault} @ {self.server}"


def rows() -> list[Row]:
    """The rows of the first table; a fault that is the same at several servers is one of each."""
    found = []
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if not line.startswith("| ") or len(cells) != 6 or cells[0] in ("fault", "---"):
            continue
        fault, servers, *rest = cells
        code, text, alone, with_next = (plain(cell) for cell in rest)
        names = SERVERS if servers == "all" else re.split(r", ", servers)
        found += [
            Row(fault, server, code.strip("–"), text == "yes", alone, with_next) for server in names
        ]
    return found


def plain(cell: str) -> str:
    """A cell without its marks."""
    return cell.replace("`", "")
