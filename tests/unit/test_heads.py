"""What the head of a request says."""

import pytest

from api.heads import Leaving, cancels


@pytest.mark.parametrize(
    ("field", "header", "key", "ends"),
    [
        (None, None, None, True),
        (None, None, "key", False),
        (None, "continue", None, False),
        (None, "cancel", "key", True),
        ("continue", "cancel", None, False),
        ("cancel", "continue", "key", True),
    ],
)
def test_what_becomes_of_a_job_whose_reader_goes(
    field: Leaving | None, header: Leaving | None, key: str | None, ends: bool
) -> None:
    assert cancels(field, header, key) is ends
