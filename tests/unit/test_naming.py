"""What may stand in `model`: the catalogue's own names, and aliases."""

from api.naming import known, meant, no_such
from api.openai.model_shape import shown
from fleet.catalogue import Catalogue, Model

FAST = Model.model_validate({"name": "fast", "url": "http://a", "context": 512, "tools": False})
BIG = Model.model_validate(
    {"name": "big", "url": "http://b", "roles": ["large"], "context": 8192, "images": True}
)
OFF = Model.model_validate({"name": "off", "url": "http://c", "enabled": False})
CATALOGUE = Catalogue((FAST, BIG, OFF))
ALIASES = {"gpt-4o": "auto", "gpt-4": "large", "mini": "fast", "none": "off"}


def test_an_alias_stands_for_another_name_and_every_other_name_for_itself() -> None:
    assert [meant(ALIASES, name) for name in ("gpt-4o", "fast", "?")] == ["auto", "fast", "?"]


def test_only_what_the_caller_may_use_is_known() -> None:
    own = ("auto", "fast", "big", "large", "tool")
    assert known(ALIASES, CATALOGUE) == (*own, "gpt-4o", "gpt-4", "mini")
    assert "gpt-4o" in known(ALIASES, CATALOGUE.only(("big",)))
    assert "mini" not in known({"mini": "big"}, CATALOGUE.only(("fast",)))


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    error = no_such("gpt-9", ALIASES, CATALOGUE)
    assert error.message == (
        "model: there is no 'gpt-9'; there are: auto, fast, big, large, tool, gpt-4o, gpt-4, mini"
    )
    assert "'off' is switched off" in no_such("none", ALIASES, CATALOGUE).message


def test_a_name_shows_what_the_best_of_its_models_can_do() -> None:
    entries = {
        name: shown(name, ALIASES, CATALOGUE, 7) for name in ("auto", "fast", "large", "gpt-4")
    }
    assert entries["fast"] == {
        "id": "fast",
        "object": "model",
        "created": 7,
        "type": "model",
        "display_name": "fast",
        "created_at": "1970-01-01T00:00:07+00:00",
        "owned_by": "llama-server",
        "kind": "model",
        "models": ["fast"],
        "roles": ["fast"],
        "context": 512,
        "max_tokens": 2048,
        "capabilities": {"chat": True, "tools": False, "images": False, "embeddings": False},
    }
    assert {"tools": True, "images": True}.items() <= entries["auto"]["capabilities"].items()
    assert (entries["large"]["kind"], entries["large"]["models"][0]) == ("route", "big")
    assert (entries["gpt-4"]["kind"], entries["gpt-4"]["alias_of"]) == ("alias", "large")
    assert entries["gpt-4"]["context"] == 8192
