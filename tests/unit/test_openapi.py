"""The document at `/openapi.json`: whole, and what users can build on."""

from collections.abc import Iterator
from typing import Any

import pytest

from api.app import create_app
from fleet.settings import Settings


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings()).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, found in document["paths"].items():
        for operation in found.values():
            yield path, operation


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(place := part.get("$ref"), str):
            yield place
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert found
    for place in found:
        part = document
        for name in place.removeprefix("#/").split("/"):
            part = part[name]


def test_every_operation_has_a_name_of_its_own_a_tag_and_a_sentence(
    document: dict[str, Any],
) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names))
    assert "post_job" in names
    for path, operation in operations(document):
        assert operation["tags"], path
        assert operation["description"], path


def test_every_operation_tells_of_its_errors_in_the_one_envelope(document: dict[str, Any]) -> None:
    for path, operation in operations(document):
        responses = operation["responses"]
        assert "422" not in responses, path
        assert {"400", "500", "503"} <= set(responses), path
        assert ("404" in responses) or "{" not in path, path
        assert {"409", "413", "429"} <= set(responses) or "requestBody" not in operation, path
    shown = document["paths"]["/v1/jobs"]["post"]["responses"]["429"]
    schema = shown["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Error"}
    assert set(shown["headers"]) == {"Retry-After"}


def test_all_but_the_questions_after_health_may_need_a_key(document: dict[str, Any]) -> None:
    keyless = {path for path, operation in operations(document) if "security" not in operation}
    assert keyless == {"/health", "/ready"}
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_the_shapes_of_bodies_stand_in_one_place(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert {"Message", "Error", "JobShown"} <= set(schemas)
    assert "ValidationError" not in schemas
    body = document["paths"]["/v1/jobs"]["post"]["requestBody"]
    assert "$defs" not in body["content"]["application/json"]["schema"]
