"""Cancel and deadlines, in every state of a job."""

import time

from tests.integration.conftest import Fleet
from tests.support import wait_until


def busy(fleet: Fleet) -> int:
    return sum(slot["is_processing"] for slot in fleet.fast.get("/slots").json())


def test_cancelling_a_running_job_frees_the_servers_slot_at_once(fleet: Fleet) -> None:
    job_id = fleet.stack.post("Hi [[fake n=1000 tps=50]]", model="fast")
    with fleet.stack.reading(job_id) as stream:
        next(event for event in stream if event[1] == "token")
        assert busy(fleet) == 1
        started = time.monotonic()
        reply = fleet.stack.client.post(f"/v1/jobs/{job_id}/cancel")
        wait_until(lambda: busy(fleet) == 0, "the slot is free", 5)
        freed_after = time.monotonic() - started
        rest = list(stream)
    assert reply.json()["status"] == "cancelled"
    assert freed_after < 0.1
    assert rest[-1][1] == "cancelled"


def test_a_cancelled_job_keeps_the_text_it_had(fleet: Fleet) -> None:
    job_id = fleet.stack.post("Hi [[fake n=1000 tps=100]]", model="fast")
    wait_until(lambda: " w5" in fleet.stack.job(job_id)["answer"]["content"], "some text")
    fleet.stack.client.post(f"/v1/jobs/{job_id}/cancel")
    job = fleet.stack.job(job_id)
    assert job["status"] == "cancelled"
    assert job["answer"]["content"].startswith(" w0 w1 w2 w3 w4 w5")


def test_cancelling_a_job_in_the_queue_keeps_it_from_the_model(fleet: Fleet) -> None:
    fillers = [fleet.stack.post("Hi [[fake n=200 tps=100]]", model="fast") for _ in range(4)]
    wait_until(lambda: busy(fleet) == 4, "all slots are taken")
    waiting = fleet.stack.post("never-to-be-seen", model="fast")
    fleet.stack.until_status(waiting, "routed")
    assert fleet.stack.client.post(f"/v1/jobs/{waiting}/cancel").json()["status"] == "cancelled"
    for job_id in fillers:
        fleet.stack.client.post(f"/v1/jobs/{job_id}/cancel")
    after = fleet.stack.post("Hi [[fake n=1]]", model="fast")
    assert fleet.stack.ended(after)["status"] == "completed"
    assert "never-to-be-seen" not in str(fleet.fast.stats()["bodies"])
    assert [kind for _, kind, _ in fleet.stack.events(waiting)] == ["queued", "routed", "cancelled"]


def test_cancelling_twice_or_after_the_end_changes_nothing(fleet: Fleet) -> None:
    job_id = fleet.stack.post("Hi [[fake n=1]]", model="fast")
    events = fleet.stack.events(job_id)
    for _ in range(2):
        reply = fleet.stack.client.post(f"/v1/jobs/{job_id}/cancel")
        assert (reply.status_code, reply.json()["status"]) == (200, "completed")
    assert fleet.stack.events(job_id) == events


def test_many_cancels_at_any_moment_end_each_job_exactly_once(fleet: Fleet) -> None:
    ids = []
    for n in range(40):
        job_id = fleet.stack.post(f"Hi [[fake n={n % 7 + 1} tps=400]]", model="fast")
        ids.append(job_id)
        if n % 2:
            fleet.stack.client.post(f"/v1/jobs/{ids[-(n % 3) - 1]}/cancel")
    for job_id in ids:
        kinds = [kind for _, kind, _ in fleet.stack.events(job_id)]
        assert sum(kind in ("completed", "cancelled") for kind in kinds) == 1
        assert kinds[-1] in ("completed", "cancelled")


def test_a_reader_who_asked_for_it_cancels_by_going_away(fleet: Fleet) -> None:
    body = {"message": "Hi [[fake n=1000 tps=50]]", "model": "fast", "on_disconnect": "cancel"}
    with fleet.stack.client.stream("POST", "/api/chat/stream", json=body) as reply:
        job_id = reply.headers["x-fleet-job-id"]
        next(line for line in reply.iter_lines() if "token" in line)
    fleet.stack.until_status(job_id, "cancelled")
    wait_until(lambda: busy(fleet) == 0, "the slot is free")


def test_a_reader_goes_away_and_the_job_goes_on(fleet: Fleet) -> None:
    body = {"message": "Hi [[fake n=20 tps=100]]", "model": "fast"}
    with fleet.stack.client.stream("POST", "/api/chat/stream", json=body) as reply:
        job_id = reply.headers["x-fleet-job-id"]
        next(line for line in reply.iter_lines() if "token" in line)
    assert fleet.stack.ended(job_id)["status"] == "completed"


def test_an_expired_job_never_reaches_a_model(fleet: Fleet) -> None:
    fillers = [fleet.stack.post("Hi [[fake n=200 tps=100]]", model="fast") for _ in range(4)]
    wait_until(lambda: busy(fleet) == 4, "all slots are taken")
    late = fleet.stack.post("too-late-to-be-seen", model="fast", deadline_s=0.3)
    fleet.stack.until_status(late, "expired")
    for job_id in fillers:
        fleet.stack.client.post(f"/v1/jobs/{job_id}/cancel")
    fleet.stack.ended(fleet.stack.post("Hi [[fake n=1]]", model="fast"))
    assert "too-late-to-be-seen" not in str(fleet.fast.stats()["bodies"])


def test_a_deadline_stops_a_running_model(fleet: Fleet) -> None:
    job_id = fleet.stack.post("Hi [[fake n=1000 tps=50]]", model="fast", deadline_s=0.5)
    assert fleet.stack.ended(job_id)["status"] == "expired"
    wait_until(lambda: busy(fleet) == 0, "the slot is free")
