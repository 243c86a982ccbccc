"""What is drawn from a seed: orders and faults."""

import json
import re
from itertools import islice
from random import Random

import httpx
import pytest

from tests.chaos.faults import LANES, NAMES
from tests.chaos.lanes import UnknownFault, check_names, rounds
from tests.chaos.orders import Mix, orders
from tests.conftest import FakeLlama


def test_the_same_seed_gives_the_same_orders_and_another_seed_others() -> None:
    first, again, other = (list(islice(orders(seed, Mix()), 50)) for seed in (1, 1, 2))
    assert first == again
    assert [order.body for order in first] != [order.body for order in other]


def test_the_right_text_is_what_the_fake_model_says(fake_llama: FakeLlama) -> None:
    url = f"{fake_llama(tps=0).url}/v1/chat/completions"
    for order in islice(orders(1, Mix()), 40):
        asked = {"messages": [{"role": "user", "content": order.body["message"]}]}
        limit = {"max_tokens": order.body["max_tokens"]} if order.capped else {}
        fast = json.loads(re.sub(r" tps=\d+", " tps=0", json.dumps(asked | limit)))
        [choice] = httpx.post(url, json=fast).raise_for_status().json()["choices"]
        assert choice["message"]["content"] == order.text
        assert choice["finish_reason"] == ("length" if order.capped else "stop")


def test_every_sort_of_order_comes_up() -> None:
    drawn = list(islice(orders(1, Mix()), 500))
    assert {order.reader for order in drawn} == {"steady", "erratic", ""}
    for sort in ("capped", "hurried", "cancel_after"):
        assert 5 < sum(bool(getattr(order, sort)) for order in drawn) < 60


def test_no_fault_is_forgotten() -> None:
    for lane in LANES.values():
        drawn = list(islice(rounds(lane, Random(1)), 2 * len(lane)))
        assert sorted(f.__name__ for f in drawn) == sorted(f.__name__ for f in (*lane, *lane))


def test_a_misspelt_fault_is_refused() -> None:
    check_names(NAMES)
    with pytest.raises(UnknownFault, match="kill_wroker"):
        check_names(["kill_wroker"])
