"""A router goes on where something odd comes by."""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fleet import home
from fleet.errors import ConfigError
from fleet.settings import Settings
from router.classifiers import Classifiers
from router.conversation import Conversation
from router.deciding import Decider
from router.plan import Standing
from router.service import CONCURRENCY, SHADOWS_CHARS, Router
from router.standing import Watch


class Slow:
    """Takes its time, as a model that is asked."""

    def classify(self, _conversation: Conversation) -> None:
        time.sleep(0.1)


async def test_no_job_waits_for_the_model_that_another_one_asks() -> None:
    settings = Settings()
    decider: Any = Decider(settings, Classifiers(settings))
    decider._chain = Slow()
    began = time.perf_counter()
    asked = (decider._classify(None, Conversation.saying("hi")) for _ in range(CONCURRENCY))
    await asyncio.gather(*asked)
    assert time.perf_counter() - began < 0.25
    await decider.aclose()


async def test_an_odd_report_leaves_no_old_standing(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: Iterator[Standing | ValueError] = iter(
        [Standing(frozenset("a")), ValueError("odd"), Standing(frozenset("b"))]
    )
    watch: Any = Watch(SimpleNamespace(line=None), Settings())  # type: ignore[arg-type]
    seen = []

    async def look() -> Standing:
        seen.append(watch.standing.alive)
        found = next(looks, None)
        if isinstance(found, ValueError):
            raise found
        if found is None:
            raise asyncio.CancelledError
        return found

    watch._look = look
    monkeypatch.setattr("router.standing.EVERY_S", 0)
    with contextlib.suppress(asyncio.CancelledError):
        await watch.run()
    assert seen == [None, frozenset("a"), None, frozenset("b")]


async def test_shadows_are_asked_again_after_an_odd_job() -> None:
    asked: list[str] = []

    async def shadows(job: Any) -> list[Any]:
        asked.append(job.id)
        if job.id == "odd":
            raise ValueError(job.id)
        if job.id == "end":
            raise asyncio.CancelledError
        return []

    router: Any = Router(*(SimpleNamespace(shadows=shadows) for _ in range(3)))  # type: ignore[arg-type]
    for name in ("odd", "next", "end"):
        router._leave_to_shadows(SimpleNamespace(id=name, request={}))
    with contextlib.suppress(asyncio.CancelledError):
        await router.ask_shadows()
    assert asked == ["odd", "next", "end"]
    assert router._unscored_chars == 0


def test_long_jobs_that_wait_for_shadows_are_bounded() -> None:
    router: Any = Router(*(SimpleNamespace() for _ in range(3)))  # type: ignore[arg-type]
    for _ in range(20):
        router._leave_to_shadows(SimpleNamespace(request={"messages": "x" * 1_000_000}))
    assert router._unscored.qsize() == SHADOWS_CHARS // 1_000_100


def test_a_route_of_ones_own_may_be_called_claude() -> None:
    own = {"name": "claude", "description": "", "examples": ("a", "b", "c")}
    models: Any = ({"name": "big", "url": "http://127.0.0.1:1", "roles": ("claude",)},)
    tables: dict[str, Any] = {"router": {"routes": [own]}}
    classifiers = Classifiers(Settings(models=models, **tables))
    classifiers._miss_no_route(("fast", "tool", "large"))
    assert classifiers.failures.as_dict() == {}


def test_a_home_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setitem(os.environ, "FLEET_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(ConfigError, match="set FLEET_HOME to another"):
        home.home()
