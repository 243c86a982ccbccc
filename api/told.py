"""What a reader has been told of an answer, where words cannot be taken back. Pure.

The streams of OpenAI's chat completions and of Anthropic's messages have no word for "forget
the text so far". After a restart the new answer often begins as the old one did (a seed,
temperature 0): then what the reader has already is swallowed, and it never knows. Where the
new answer differs the stream must end with an error; two halves are not an answer.
"""

from fleet.errors import FleetFault


class Contradicted(FleetFault):
    """The model was lost in mid-answer, and its successor begins differently."""

    code = "answer_restarted"
    status = 503


class Told:
    """One answer as its reader has it. `kind` is `content` or `reasoning`."""

    def __init__(self) -> None:
        #: What the reader had when the present answer began, and has heard of it beyond that.
        self._before = {"content": "", "reasoning": ""}
        self._beyond: dict[str, list[str]] = {"content": [], "reasoning": []}
        #: How far the present answer has come.
        self._at = {"content": 0, "reasoning": 0}
        self._called = False

    def restart(self) -> None:
        """The answer begins anew.

        Raises:
            Contradicted: a tool call was told; its id cannot come again.
        """
        if self._called:
            raise Contradicted
        for kind, parts in self._beyond.items():
            self._before[kind] += "".join(parts)
            parts.clear()
        self._at = dict.fromkeys(self._at, 0)

    def say(self, kind: str, text: str) -> str:
        """The part of the text that the reader does not have yet.

        Raises:
            Contradicted: the reader has other words at that place.
        """
        at = self._at[kind]
        self._at[kind] = at + len(text)
        if at < len(self._before[kind]):
            known = self._before[kind][at : at + len(text)]
            if not text.startswith(known):
                raise Contradicted
            text = text[len(known) :]
        self._beyond[kind].append(text)
        return text

    def call(self) -> None:
        """A tool call is told.

        Raises:
            Contradicted: the reader has text that this answer did not repeat.
        """
        self.end()
        self._called = True

    def end(self) -> None:
        """The answer is whole.

        Raises:
            Contradicted: the reader has more than that.
        """
        if any(self._at[kind] < len(text) for kind, text in self._before.items()):
            raise Contradicted
