"""Server-sent events of a model server, decoded. Pure: bytes in, payloads out."""


class DataLines:
    """Collects the `data:` payloads of a stream of bytes, however it is cut into pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that `data` completes, in order."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]
