from cli.backoff import Backoff


def test_the_pause_doubles_with_each_death_up_to_its_ceiling() -> None:
    backoff = Backoff()
    assert [backoff.after(0.1) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_long_life_makes_it_forget_earlier_deaths() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.after(1)
    assert backoff.after(60) == 0.5
    assert backoff.deaths == 1
