"""Webhooks without effects: where they may go, what they tell, how they are signed and retried."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address, ip_network
from typing import Any

import openai
import pytest

from fleet.errors import InvalidRequest
from fleet.job import TERMINAL, Status
from fleet.retry_after import wished_s
from fleet.webhooks.addresses import allowed
from fleet.webhooks.delivery import Delivery
from fleet.webhooks.event import event_body, event_id, event_type
from fleet.webhooks.schedule import Answer, next_try, pause_s
from fleet.webhooks.settings import Webhooks
from fleet.webhooks.signing import secret_of, signed_headers
from fleet.webhooks.target import LONGEST, read_target
from router.webhooks.hosts import FARTHEST_S, SOONEST_S, Hosts

RULES = Webhooks()
NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)

PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::200e"]
#: Networks of our own, which `allow_private` opens.
OURS = [
    *("127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("100.64.0.1", "100.127.255.255", "::1", "fc00::1", "fd12:3456::1"),
]
#: What only `allow` opens.
NOWHERE = [
    *("0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "224.0.0.1", "239.255.255.255"),
    *("240.0.0.1", "255.255.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1"),
    *("203.0.113.1", "::", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2001:db8::1"),
    *("100::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::8.8.8.8"),
    *("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "2002:7f00:1::", "2002:808:808::"),
    *("192.0.0.8", "192.0.0.192", "168.63.129.16", "192.88.99.1", "3fff::1", "5f00::1"),
    *("2001::1", "fd00::1%eth0", "2606:4700:4700::1111%eth0"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_the_internet_may_be_told(address: str) -> None:
    assert allowed(ip_address(address), private=False)


@pytest.mark.parametrize("address", OURS)
def test_our_own_networks_only_where_that_is_wanted(address: str) -> None:
    assert not allowed(ip_address(address), private=False)
    assert allowed(ip_address(address), private=True)


@pytest.mark.parametrize("address", NOWHERE)
def test_special_addresses_never(address: str) -> None:
    assert not allowed(ip_address(address), private=False)
    assert not allowed(ip_address(address), private=True)


def test_a_network_that_is_named_is_open_and_no_other() -> None:
    networks = [ip_network("10.1.0.0/16"), ip_network("64:ff9b::/96")]
    open_ = {
        a for a in [*OURS, *NOWHERE] if allowed(ip_address(a), private=False, networks=networks)
    }
    assert open_ == {"64:ff9b::7f00:1", "64:ff9b::808:808"}
    assert allowed(ip_address("10.1.2.3"), private=False, networks=networks)


@pytest.mark.parametrize(
    ("url", "at"),
    [
        ("https://example.com", "https://1.1.1.1/"),
        ("https://example.com/hooks?k=v&x=%20", "https://1.1.1.1/hooks?k=v&x=%20"),
        ("https://Example.com.:8443/a/../b", "https://1.1.1.1:8443/a/../b"),
        ("https://8.8.8.8/x", "https://1.1.1.1/x"),
        ("https://[2606:4700:4700::1111]:1024/", "https://1.1.1.1:1024/"),
        ("https://a_b.example/", "https://1.1.1.1/"),
    ],
)
def test_a_url_is_read_in_its_parts(url: str, at: str) -> None:
    target = read_target(url, RULES)
    assert target.url(ip_address("1.1.1.1")) == at


def test_the_host_header_is_the_hosts_and_an_ipv6_address_stands_in_brackets() -> None:
    target = read_target("https://example.com:8443/x", RULES)
    assert target.netloc == "example.com:8443"
    assert target.url(ip_address("2606:4700::1")) == "https://[2606:4700::1]:8443/x"
    assert read_target("https://example.com:443/", RULES).netloc == "example.com"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/", "https://"),
        ("ftp://example.com/", "https://"),
        ("example.com", "https://"),
        ("//example.com", "https://"),
        ("file:///etc/passwd", "https://"),
        ("https://user@example.com/", "password"),
        ("https://user:secret@example.com/", "password"),
        ("https://example.com:22/", "port"),
        ("https://example.com:0/", "port"),
        ("https://example.com:6_0/", "no URL"),
        ("https://example.com:99999/", "no URL"),
        ("https:///path", "host name"),
        ("https://exa%6dple.com/", "host name"),
        ("https://-a.example/", "host name"),
        (f"https://{'a' * 64}.example/", "host name"),
        (f"https://{'a.' * 127}/", "host name"),
        ("https://a..b/", "host name"),
        ("https://bücher.example/", "ASCII"),
        ("https://example.com/a b", "ASCII"),
        ("https://example.com\\@evil.example/", "ASCII"),
        ("https://example.com/\r\nX: y", "ASCII"),
        ("https://example.com/#part", "ASCII"),
        ("https://[::1", "no URL"),
        (f"https://example.com/{'a' * LONGEST}", "characters"),
        ("https://localhost/", "public internet"),
        ("https://LOCALHOST./", "public internet"),
        ("https://app.localhost/", "public internet"),
        ("https://127.0.0.1/", "public internet"),
        ("https://127.1/", "public internet"),
        ("https://0x7f000001/", "public internet"),
        ("https://2130706433/", "public internet"),
        ("https://017700000001/", "public internet"),
        ("https://169.254.169.254/latest/meta-data", "public internet"),
        ("https://[::1]/", "public internet"),
        ("https://[::ffff:8.8.8.8]/", "public internet"),
        ("https://[fe80::1%25eth0]/", "public internet"),
    ],
)
def test_a_url_that_may_not_be_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_target(url, RULES)
    assert refusal.value.param == "webhook"
    assert why in refusal.value.message
    assert "secret" not in refusal.value.message


def test_rules_open_http_and_this_machine() -> None:
    rules = Webhooks(allow_http=True, allow_private=True)
    for url in ("http://localhost:8080/", "http://127.0.0.1:8080/", "https://[::1]/"):
        assert read_target(url, rules)
    with pytest.raises(InvalidRequest):
        read_target("http://169.254.169.254/", rules)


def told(status: Status, api: str = "jobs") -> Delivery:
    return Delivery("job_" + "ab" * 16, "https://x", api, status, "alice", 1_700_000_000_123, 0, 1)


def test_the_event_names_the_job_as_its_api_does() -> None:
    assert json.loads(event_body(told(Status.COMPLETED))) == {
        "id": "evt_" + "ab" * 16,
        "object": "event",
        "created_at": 1_700_000_000,
        "type": "job.completed",
        "data": {"id": "job_" + "ab" * 16, "status": "completed"},
    }
    of_responses = json.loads(event_body(told(Status.INCOMPLETE, "responses")))
    assert of_responses["type"] == "response.incomplete"
    assert of_responses["data"] == {"id": "resp_" + "ab" * 16}
    of_chat = json.loads(event_body(told(Status.EXPIRED, "chat")))
    assert of_chat["data"] == {"id": "chatcmpl-" + "ab" * 16, "status": "expired"}
    assert of_chat["type"] == "job.expired"


def test_every_end_has_a_type_and_responses_has_no_expired() -> None:
    assert {event_type("jobs", s) for s in TERMINAL} == {f"job.{s.value}" for s in TERMINAL}
    assert {event_type("responses", s) for s in TERMINAL} == {
        f"response.{word}" for word in ("completed", "failed", "cancelled", "incomplete")
    }
    assert event_type("responses", Status.EXPIRED) == "response.failed"


@pytest.mark.parametrize(
    ("status", "api"), [(Status.COMPLETED, "responses"), (Status.CANCELLED, "jobs")]
)
def test_openais_own_sdk_verifies_what_is_signed(status: Status, api: str) -> None:
    secret = secret_of("master", "alice")
    body = event_body(told(status, api))
    name = event_id(told(status).job_id)
    headers = signed_headers(secret, name, int(datetime.now(UTC).timestamp()), body)
    client = openai.OpenAI(api_key="none", webhook_secret=secret)
    event: Any = client.webhooks.unwrap(body, headers)
    assert (event.id, event.type) == (name, event_type(api, status))
    assert event.data.id == json.loads(body)["data"]["id"]
    for wrong in (secret_of("master", "bob"), secret_of("other", "alice")):
        with pytest.raises(openai.InvalidWebhookSignatureError):
            client.webhooks.unwrap(body, headers, secret=wrong)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(body + " ", headers)


def test_pauses_grow_to_the_longest_and_take_about_a_day() -> None:
    pauses = [pause_s(n, RULES, 0.5) for n in range(1, RULES.attempts)]
    assert pauses == [5, 25, 125, 625, 3_125, 15_625, 21_600, 21_600, 21_600]
    assert 20 < sum(pauses) / 3_600 < 28
    assert (pause_s(1, RULES, 0.0), pause_s(1, RULES, 1.0)) == (4, 6)
    longest = sum(pause_s(n, RULES, 1.0) for n in range(1, RULES.attempts))
    assert RULES.keep_s > longest + RULES.attempts * RULES.lease_s


def after(attempt: int, rules: Webhooks = RULES, **answer: Any) -> float | None:
    return next_try(attempt, Answer(**answer), rules, 0.5, NOW)


def test_a_failure_is_followed_by_a_pause_until_there_is_no_next_try() -> None:
    assert after(1, status=500) == 5
    assert after(2, status=302) == 25
    assert after(3, error="nobody listens") == 125
    assert after(10, status=500) is None
    assert after(1, status=410) is None


def test_a_busy_receiver_says_when_within_bounds() -> None:
    assert after(1, status=503, retry_after="120") == 120
    assert after(1, status=429, retry_after="1") == 5
    assert after(1, status=429, retry_after="9999999") == RULES.longest_pause_s
    assert after(1, status=500, retry_after="120") == 5
    date = format_datetime(NOW + timedelta(seconds=90), usegmt=True)
    assert after(1, status=503, retry_after=date) == 90


@pytest.mark.parametrize("text", ["", "soon", "-5", "1e3", "²", "Mon, 99 Foo"])
def test_a_retry_after_that_is_none_is_none(text: str) -> None:
    assert wished_s(text, NOW) == 0


def test_what_counts_as_taken() -> None:
    well = {status for status in range(100, 600) if Answer(status).well}
    assert well == set(range(200, 300))
    assert not Answer(error="x").well


def test_a_retry_after_date_without_a_zone_is_read_as_utc() -> None:
    assert wished_s("Mon, 04 May 2026 12:01:00 -0000", NOW) == 60


def test_a_host_has_so_many_tries_at_once_and_another_one_its_own() -> None:
    hosts = Hosts(2)
    assert [hosts.begin("a", 100.0) for _ in range(2)] == [None, None]
    assert hosts.begin("a", 100.0) == SOONEST_S
    assert hosts.begin("b", 100.0) is None
    hosts.end("a", 1.0)
    assert hosts.begin("a", 101.0) is None


def test_those_without_room_come_back_one_after_the_other_at_the_hosts_pace() -> None:
    hosts = Hosts(2)
    for _ in range(2):
        hosts.begin("a", 100.0)
    hosts.end("a", 4.0)
    hosts.begin("a", 104.0)
    pauses = [hosts.begin("a", 104.0) for _ in range(40)]
    assert pauses[:3] == pytest.approx([SOONEST_S, SOONEST_S + 2, SOONEST_S + 4])
    assert all(pause is not None and pause <= FARTHEST_S for pause in pauses)
    assert all(pause is not None and pause >= FARTHEST_S / 2 for pause in pauses[30:])


def test_a_host_without_tries_is_forgotten() -> None:
    hosts = Hosts(1)
    hosts.begin("a", 100.0)
    hosts.begin("a", 100.0)
    hosts.end("a", 50.0)
    hosts.begin("a", 200.0)
    assert hosts.begin("a", 200.0) == SOONEST_S
    hosts.end("a", 1.0)
    assert not any(vars(hosts)[name] for name in ("_trying", "_pace", "_given"))
