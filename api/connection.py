"""The connections of the API: uvicorn's, with a bound on what comes before a request is one."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Bytes of a request's line and headers. The parser itself takes any number, from anybody.
HEAD_MOST = 65_536
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Connection(HttpToolsProtocol):
    """Closes when a head is too large. It is counted by pieces as they arrive, without the one
    that it begins in, which may hold the end of another request.
    """

    _head: int | None = None
    _begun = False

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._head, self._begun = 0, True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; one that comes behind the body is none."""
        if self._head is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """It is whole."""
        self._head = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """A piece of anything."""
        self._begun = False
        super().data_received(data)
        if self._head is None or self._begun:
            return
        self._head += len(data)
        if self._head > HEAD_MOST and not self.transport.is_closing():
            self.transport.write(TOO_LARGE)
            self.transport.close()
