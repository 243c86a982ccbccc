"""Server-sent events of a model server, decoded. Pure: bytes in, payloads out."""


class DataLines:
    """Collects the `data:` payloads of a stream of bytes, however it is cut into pieces."""

    def __init__(self, place: int = 0) -> None:
        #: Bytes of the stream up to the end of the last whole line.
        self.place = place
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that `data` completes, in order."""
        joined = self._rest + data
        lines = joined.split(b"\n")
        self._rest = lines.pop()
        self.place += len(joined) - len(self._rest)
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]
