"""Server-sent events of a model server, decoded. Pure: bytes in, payloads out."""


class DataLines:
    """Collects the `data:` payloads of a stream of bytes, however it is cut into pieces."""

    def __init__(self, place: int = 0) -> None:
        #: Bytes of the stream up to the end of the last whole line.
        self.place = place
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[bytes, int]]:
        """The payloads that `data` completes, in order, each with the byte after its line."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        found = []
        for line in lines:
            self.place += len(line) + 1
            if line.startswith(b"data:"):
                found.append((line[5:].strip(), self.place))
        return found
