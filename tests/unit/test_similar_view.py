"""What a job that got the answer to a similar question shows of it."""

from dataclasses import replace

from api import views
from fleet.catalogue import Price
from fleet.comparison import Reference
from fleet.job import Job, Status

REFERENCE = Reference("claude", Price(input=1, output=10))
MATCHED = Job(
    "job_1",
    Status.COMPLETED,
    {"messages": [{"role": "user", "content": "How do I boil an egg?"}]},
    caller="alice",
)
JOB = replace(MATCHED, id="job_2", cache="semantic", similar_to="job_1", similarity=0.98)


def test_its_caller_sees_the_question_that_it_matched() -> None:
    assert views.detail(JOB, [], REFERENCE, MATCHED)["cache"] == {
        "status": "semantic",
        "similarity": 0.98,
        "source": "job_1",
        "question": "How do I boil an egg?",
    }


def test_nobody_sees_the_question_of_another_caller_or_of_a_job_that_is_gone() -> None:
    for matched in (replace(MATCHED, caller="bob"), None):
        shown = views.detail(JOB, [], REFERENCE, matched)["cache"]
        assert shown == {"status": "semantic", "similarity": 0.98, "source": None, "question": None}


def test_a_list_shows_nobodys_words() -> None:
    assert views.summary(JOB, REFERENCE)["cache"] == {"status": "semantic", "similarity": 0.98}


def test_other_jobs_say_no_more_than_where_the_answer_came_from() -> None:
    assert views.detail(replace(MATCHED, cache="hit"), [], REFERENCE)["cache"] == {"status": "hit"}
