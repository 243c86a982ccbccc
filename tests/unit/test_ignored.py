"""What the head of an answer says was passed over."""

from api.ignored import naming


def test_each_name_is_told_once_in_its_order() -> None:
    assert naming(["b", "a", "b"]) == {"x-fleet-ignored": "b, a"}
    assert naming([]) == {}


def test_a_name_that_is_passed_over_cannot_write_a_header_of_its_own() -> None:
    said = naming(["a\r\nSet-Cookie: b", "ü,"])
    assert said == {"x-fleet-ignored": "a??Set-Cookie:?b, ??"}


def test_a_caller_cannot_make_the_head_long() -> None:
    [said] = naming(f"{n}{'x' * 100}" for n in range(50)).values()
    assert len(said) == 20 * 64 + 19 * 2
