"""One try against a real receiver: the address that was checked, the answer that counts."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fleet.webhooks.addresses import Address
from fleet.webhooks.schedule import Answer
from fleet.webhooks.settings import Webhooks
from router.webhooks.resolver import Resolver
from router.webhooks.sender import NOT_PUBLIC, Sender
from tests.fakes.handle import Fake
from tests.support import free_port

OPEN: dict[str, Any] = {"allow_http": True, "allow_private": True, "timeout_s": 1}
HEADERS = {"webhook-id": "evt_1"}
HERE = ip_address("127.0.0.1")


class Changing:
    """A resolver whose answer is another one each time."""

    def __init__(self, *answers: Sequence[Address]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        return self.answers.pop(0)


@pytest.fixture
def receiver(start_fake: Callable[..., Fake]) -> Fake:
    return start_fake("receiver")


@pytest_asyncio.fixture
async def resolver() -> AsyncIterator[Resolver]:
    resolver = Resolver()
    yield resolver
    resolver.close()


async def sent(url: str, resolve: Any, **rules: Any) -> Answer:
    sender = Sender(Webhooks(**{**OPEN, **rules}), resolve)
    try:
        return await sender.send(url, HEADERS, '{"a":1}')
    finally:
        await sender.aclose()


def got(receiver: Fake) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = receiver.stats()["got"]
    return seen


def port_of(receiver: Fake) -> str:
    return receiver.url.rpartition(":")[2]


async def test_a_post_arrives_as_it_was_sent(receiver: Fake, resolver: Resolver) -> None:
    answer = await sent(f"http://localhost:{port_of(receiver)}/hook?key=v%20w", resolver)
    assert answer == Answer(200)
    [post] = got(receiver)
    assert (post["method"], post["path"], post["query"]) == ("POST", "/hook", {"key": "v w"})
    assert (post["body"], post["headers"]["webhook-id"]) == ('{"a":1}', "evt_1")
    assert post["headers"]["host"] == f"localhost:{port_of(receiver)}"
    assert post["headers"]["content-type"] == "application/json"
    assert post["headers"]["user-agent"].startswith("chat-fleet/")


async def test_the_connection_goes_to_the_address_that_was_checked(receiver: Fake) -> None:
    changing = Changing([HERE], [ip_address("127.0.0.9")])
    answer = await sent(f"http://rebinding.example:{port_of(receiver)}/", changing)
    assert answer == Answer(200)
    assert changing.asked == ["rebinding.example"]
    assert got(receiver)[0]["headers"]["host"] == f"rebinding.example:{port_of(receiver)}"


@pytest.mark.parametrize("others", [[], ["93.184.216.34"]])
async def test_one_address_of_ours_is_enough_to_refuse(receiver: Fake, others: list[str]) -> None:
    addresses = [ip_address(other) for other in others]
    for found in ([*addresses, HERE], [HERE, *addresses]):
        url = f"http://receiver.example:{port_of(receiver)}/"
        answer = await sent(url, Changing(found), allow_private=False)
        assert (answer.status, answer.error) == (0, NOT_PUBLIC)
    assert got(receiver) == []


async def test_a_name_that_means_this_machine_is_refused_by_what_it_resolves_to(
    receiver: Fake, resolver: Resolver
) -> None:
    url = f"http://localhost:{port_of(receiver)}/"
    answer = await sent(url, resolver, allow_private=False, allow=["10.0.0.0/8"])
    assert answer.error == NOT_PUBLIC
    assert (await sent(url, resolver, allow_private=False)).status == 0
    assert got(receiver) == []
    allowed = await sent(url, resolver, allow_private=False, allow=["127.0.0.0/8", "::1/128"])
    assert allowed == Answer(200)


async def test_the_next_address_is_tried_where_nobody_listens(receiver: Fake) -> None:
    found = [ip_address("127.0.0.9"), HERE]
    answer = await sent(f"http://receiver.example:{port_of(receiver)}/", Changing(found))
    assert answer == Answer(200)


async def test_a_redirect_is_not_followed(receiver: Fake, resolver: Resolver) -> None:
    where = {"location": f"{receiver.url}/elsewhere"}
    for status in (301, 302, 307, 308):
        receiver.post("/control", {"then": {"status": status, "headers": where}})
        assert await sent(f"{receiver.url}/hook", resolver) == Answer(status)
    assert {post["path"] for post in got(receiver)} == {"/hook"}


async def test_a_huge_answer_is_not_read(receiver: Fake, resolver: Resolver) -> None:
    receiver.post("/control", {"then": {"bytes": 500_000_000}})
    assert await sent(receiver.url, resolver) == Answer(200)
    assert receiver.stats()["poured"] < 50_000_000


async def test_what_the_answer_asks_is_passed_on(receiver: Fake, resolver: Resolver) -> None:
    receiver.post("/control", {"then": {"status": 503, "headers": {"retry-after": "7"}}})
    assert await sent(receiver.url, resolver) == Answer(503, "", "7")


async def test_a_receiver_that_hangs_is_left_after_a_while(
    receiver: Fake, resolver: Resolver
) -> None:
    receiver.post("/control", {"then": {"after_s": 60}})
    answer = await sent(receiver.url, resolver, timeout_s=0.3)
    assert answer == Answer(error="no answer within 0.3 s")


async def test_a_body_that_does_not_end_changes_nothing(resolver: Resolver) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nx")
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    async with await asyncio.start_server(endless, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await sent(f"http://127.0.0.1:{port}/", resolver, timeout_s=0.5) == Answer(200)
        ended.set()


async def test_a_name_that_hangs_is_left_too() -> None:
    async def hangs(host: str, port: int) -> Sequence[Address]:
        await asyncio.Event().wait()
        return []

    answer = await sent("http://slow.example/", hangs, timeout_s=0.2)
    assert answer == Answer(error="no answer within 0.2 s")


async def test_what_goes_wrong_is_said_in_words(receiver: Fake, resolver: Resolver) -> None:
    receiver.post("/control", {"then": {"drop": True}})
    broken = await sent(receiver.url, resolver)
    assert broken == Answer(error="the connection broke before there was an answer")
    nobody = await sent(f"http://127.0.0.1:{free_port()}/", resolver)
    assert nobody == Answer(error="nobody listens at its address")
    unknown = await sent("http://nobody.invalid/", resolver)
    assert unknown == Answer(error="the name of its host is not known")
    assert (await sent("https://x@y/", resolver)).error.startswith("webhook: must not hold")


async def test_no_proxy_of_the_environment_is_used(
    receiver: Fake, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    assert await sent(receiver.url, resolver) == Answer(200)


# With TLS.


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A certificate for `receiver.example` that vouches for itself, with its key."""
    openssl = shutil.which("openssl")
    assert openssl, "this test needs the program openssl"
    both = tmp_path / "receiver.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=receiver.example"),
            *("-addext", "subjectAltName=DNS:receiver.example"),
            *("-keyout", both, "-out", tmp_path / "certificate.pem"),
        ],
        check=True,
        capture_output=True,
    )
    with both.open("a", encoding="ascii") as file:
        file.write((tmp_path / "certificate.pem").read_text(encoding="ascii"))
    return both


async def test_a_certificate_must_be_the_hosts_not_the_addresss(
    start_fake: Callable[..., Fake], authority: Path
) -> None:
    secure = start_fake("receiver", certificate=authority)
    port = port_of(secure)
    trusted = await sent(f"https://receiver.example:{port}/", Changing([HERE]), ca_file=authority)
    assert trusted == Answer(200)
    other = await sent(f"https://other.example:{port}/", Changing([HERE]), ca_file=authority)
    assert "certificate is not valid: Hostname mismatch" in other.error
    stranger = await sent(f"https://receiver.example:{port}/", Changing([HERE]))
    assert "certificate is not valid" in stranger.error
    secure.url = f"https://127.0.0.1:{port}"
    seen = got(secure)
    assert [post["headers"]["host"] for post in seen] == [f"receiver.example:{port}"]


async def test_plain_words_on_a_secure_port_are_no_answer(resolver: Resolver) -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        answer = await sent(f"https://127.0.0.1:{port}/", resolver)
    assert answer == Answer(error="TLS could not be agreed on")
