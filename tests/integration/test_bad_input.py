"""Bad input: each a clear error in the one envelope, none a crash."""

from typing import Any

import pytest

from tests.integration.conftest import Fleet


def error_of(fleet: Fleet, status: int, method: str, path: str, **request: Any) -> dict[str, Any]:
    reply = fleet.stack.client.request(method, path, **request)
    assert reply.status_code == status, reply.text
    error: dict[str, Any] = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "fault"}
    assert error["fault"] == "caller"
    return error


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "param", "told"),
    [
        (b"{", None, "not valid JSON"),
        (b"[]", None, "JSON object"),
        (b'"hello"', None, "JSON object"),
        (b"", None, "not valid JSON"),
        (b'{"message": "\xff"}', None, "not valid JSON"),
        (b"{}", None, "messages"),
        (b'{"messages": []}', None, "messages"),
        (b'{"message": "  "}', None, "empty"),
        (b'{"message": 3}', "message", "string"),
        (b'{"messages": [{"role": "user", "content": ""}]}', "messages[0]", "empty"),
        (
            b'{"messages": [{"role": "user", "content": [{"type": "image_url", '
            b'"image_url": {"url": "http://169.254.169.254/"}}]}]}',
            "messages[0]",
            "data:image/",
        ),
        (b'{"messages": [{"role": "king", "content": "x"}]}', "messages[0].role", "user"),
        (b'{"messages": [{"role": "assistant", "content": "x"}]}', None, "last message"),
        (b'{"message": "x", "temperature": "hot"}', "temperature", "number"),
        (b'{"message": "x", "temperature": 9}', "temperature", "5"),
        (b'{"message": "x", "max_tokens": 0}', "max_tokens", "1"),
        (b'{"message": "x", "priority": 10}', "priority", "9"),
        (b'{"message": "x", "deadline_s": -1}', "deadline_s", "0"),
        (b'{"message": "x", "deadline_s": 999999}', "deadline_s", "3600"),
        (b'{"message": "x", "start_timeout_s": 0}', "start_timeout_s", "0"),
        (
            b'{"message": "x", "start_timeout_s": 6, "deadline_s": 5}',
            "start_timeout_s",
            "at most the deadline, 5 seconds",
        ),
        (b'{"message": "x", "start_timeout_s": 3601}', "start_timeout_s", "3600"),
        (b'{"message": "x", "conversation_id": ""}', "conversation_id", "visible characters"),
        (b'{"message": "x", "conversation_id": "my talk"}', "conversation_id", "visible"),
        (b'{"message": "x", "conversation_id": 7}', "conversation_id", "string"),
        (b'{"message": "x", "api_base": "http://evil"}', "api_base", "no such field"),
        (b'{"message": "x", "id_slot": 1}', "id_slot", "no such field"),
    ],
)
def test_a_body_that_is_wrong_is_told_where_and_why(
    fleet: Fleet, body: bytes, param: str | None, told: str
) -> None:
    for path in ("/v1/jobs", "/api/chat/stream"):
        error = error_of(fleet, 400, "POST", path, content=body, headers=JSON)
        assert error["param"] == param
        assert told in error["message"]


def test_a_prompt_of_two_megabytes_is_too_large(fleet: Fleet) -> None:
    body = {"message": "x" * 2_000_000}
    error = error_of(fleet, 413, "POST", "/v1/jobs", json=body)
    assert "1048576" in error["message"]
    assert error["code"] == "request_too_large"


def test_a_body_that_does_not_say_its_size_is_cut_off_too(fleet: Fleet) -> None:
    def endless() -> Any:
        for _ in range(40):
            yield b'{"message": "' + b"x" * 65_536

    error = error_of(fleet, 413, "POST", "/v1/jobs", content=endless(), headers=JSON)
    assert error["code"] == "request_too_large"


@pytest.mark.parametrize("path", ["", "/events"])
def test_an_unknown_id_is_not_found(fleet: Fleet, path: str) -> None:
    error = error_of(fleet, 404, "GET", f"/v1/jobs/job_nobody{path}")
    assert "job_nobody" in error["message"]


def test_an_id_that_is_none_of_ours_reaches_no_key(fleet: Fleet) -> None:
    job_id = fleet.stack.post("Hi [[fake n=1]]")
    for path in (f"{job_id}:log", "nodes", "*"):
        error_of(fleet, 404, "GET", f"/v1/jobs/{path}")
        error_of(fleet, 404, "POST", f"/v1/jobs/{path}/cancel")


def test_cancelling_an_unknown_id_is_not_found(fleet: Fleet) -> None:
    error_of(fleet, 404, "POST", "/v1/jobs/job_nobody/cancel")


@pytest.mark.parametrize("cursor", ["abc", "-2", "1.5", "9" * 30, "٣"])
def test_a_cursor_that_is_no_number_is_refused(fleet: Fleet, cursor: str) -> None:
    job_id = fleet.stack.post("Hi [[fake n=1]]")
    path = f"/v1/jobs/{job_id}/events"
    error = error_of(fleet, 400, "GET", path, params={"starting_after": cursor})
    assert error["param"] == "starting_after"
    if cursor.isascii():
        error = error_of(fleet, 400, "GET", path, headers={"Last-Event-ID": cursor})
        assert error["param"] == "Last-Event-ID"


def test_a_cursor_beyond_the_end_is_told_the_end(fleet: Fleet) -> None:
    job_id = fleet.stack.post("Hi [[fake n=1]]")
    last = fleet.stack.events(job_id)[-1][0]
    error = error_of(
        fleet, 400, "GET", f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": "999"}
    )
    assert f"the last one is {last}" in error["message"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"status": "sleeping"}, "status"),
        ({"limit": "0"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"after": "nonsense"}, "after"),
        ({"after": "²-x"}, "after"),
        ({"after": "9" * 4301 + "-x"}, "after"),
    ],
)
def test_a_query_that_is_wrong_names_its_parameter(
    fleet: Fleet, query: dict[str, str], param: str
) -> None:
    assert error_of(fleet, 400, "GET", "/v1/jobs", params=query)["param"] == param


def test_waiting_too_long_and_idempotency_keys_too_long_are_refused(fleet: Fleet) -> None:
    job_id = fleet.stack.post("Hi [[fake n=1]]")
    assert error_of(fleet, 400, "GET", f"/v1/jobs/{job_id}?wait=99999")["param"] == "wait"
    assert error_of(fleet, 400, "GET", f"/v1/jobs/{job_id}?wait=nan")["param"] == "wait"
    key = {"Idempotency-Key": "k" * 256}
    error = error_of(fleet, 400, "POST", "/v1/jobs", json={"message": "x"}, headers=key)
    assert error["param"] == "Idempotency-Key"


def test_no_such_endpoint_and_no_such_method(fleet: Fleet) -> None:
    assert error_of(fleet, 404, "GET", "/v2/nothing")["code"] == "not_found"
    assert error_of(fleet, 405, "DELETE", "/v1/jobs")["code"] == "method_not_allowed"


def test_a_name_that_resolves_to_this_machine_is_not_this_machine(fleet: Fleet) -> None:
    error = error_of(fleet, 400, "GET", "/v1/jobs", headers={"Host": "evil.example:8000"})
    assert "FLEET_API__KEY" in error["message"]


def test_half_a_surrogate_pair_is_no_text(fleet: Fleet) -> None:
    error = error_of(
        fleet, 400, "POST", "/v1/jobs", content=b'{"message": "\\ud83d"}', headers=JSON
    )
    assert "not valid JSON" in error["message"]


def test_a_body_of_another_type_is_refused_by_its_name(fleet: Fleet) -> None:
    for declared in ("text/html", "multipart/form-data"):
        error = error_of(
            fleet, 400, "POST", "/v1/jobs", content=b"{}", headers={"Content-Type": declared}
        )
        assert declared in error["message"]


def test_odd_but_valid_words_pass_unharmed(fleet: Fleet) -> None:
    words = "\x00 \u2028 \U0001f600 \r\n data: x\n\n [[fake n=1]]"
    job_id = fleet.stack.post(words, model="fast")
    assert fleet.stack.ended(job_id)["status"] == "completed"
    asked = [body["messages"][-1]["content"] for body in fleet.fast.stats()["bodies"]]
    assert words in asked


@pytest.mark.parametrize("name", ["gpt-9", "claude"])
def test_an_unknown_model_lists_those_there_are(fleet: Fleet, name: str) -> None:
    body = {"message": "x", "model": name}
    for path in ("/v1/jobs", "/api/chat/stream"):
        error = error_of(fleet, 404, "POST", path, json=body)
        assert (error["code"], error["param"]) == ("model_not_found", "model")
        assert "auto, fast, tool, large" in error["message"]


TURN = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("path", "body", "meant"),
    [
        ("/v1/chat/completions", {"mesages": []}, "messages"),
        ("/v1/messages", {"messages": [TURN], "model": "fast", "max_token": 3}, "max_tokens"),
        ("/v1/responses", {"model": "fast", "imput": "Hi"}, "input"),
    ],
)
def test_a_field_that_is_misspelt_is_found(
    fleet: Fleet, path: str, body: dict[str, Any], meant: str
) -> None:
    error = fleet.stack.client.post(path, json=body).json()["error"]
    assert meant in error["message"]
    wrong = next(name for name in body if name not in ("model", "messages"))
    assert f"is {wrong!r} meant?" in error["message"]


@pytest.mark.parametrize(
    ("path", "instead"),
    [
        ("/chat/completions", "did you mean /v1/chat/completions?"),
        ("/v1/v1/messages", "did you mean /v1/messages?"),
        ("/v1/chat/completion", "did you mean /v1/chat/completions?"),
        ("/", "/openapi.json lists those there are"),
    ],
)
def test_an_endpoint_that_is_none_is_answered_with_the_one_that_is(
    fleet: Fleet, path: str, instead: str
) -> None:
    assert instead in error_of(fleet, 404, "POST", path, json={})["message"]
