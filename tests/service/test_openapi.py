import pytest

from service.schemas import EventIn, EventsIn, RecommendIn
from tests.service.conftest import serving

ERRORS = {
    "/recommend": {"401", "403", "413", "422", "503"},
    "/recommend/{user_id}": {"401", "403", "422", "503"},
    "/events": {"401", "403", "413", "422", "503"},
    "/feedback": {"401", "403", "413", "422", "503"},
    "/health/live": set(),
    "/health/ready": {"503"},
    "/metrics": {"401", "403"},
    "/models/current": {"401", "403", "503"},
}


@pytest.fixture(scope="module")
def schema(client):
    return client.get("/openapi.json").json()


def operations(schema):
    return [
        (path, operation)
        for path, methods in schema["paths"].items()
        for operation in methods.values()
    ]


def examples_of(schema, path):
    body = schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return [example["value"] for example in body["examples"].values()]


def test_every_call_declares_the_errors_it_may_answer_with(schema):
    for path, operation in operations(schema):
        declared = {status for status in operation["responses"] if status >= "400"}
        assert declared == ERRORS[path], path
        for status in declared:
            content = operation["responses"][status]["content"]["application/json"]
            assert content["schema"] == {"$ref": "#/components/schemas/ErrorOut"}
    assert {path for path, _ in operations(schema)} == ERRORS.keys()


def test_every_reference_leads_somewhere(schema):
    def references(node):
        if isinstance(node, dict):
            yield from ([node["$ref"]] if "$ref" in node else [])
            node = list(node.values())
        if isinstance(node, list):
            for each in node:
                yield from references(each)

    found = set(references(schema))
    assert {"#/components/schemas/RecommendIn", "#/components/schemas/EventIn"} <= found
    names = {reference.removeprefix("#/components/schemas/") for reference in found}
    assert names <= schema["components"]["schemas"].keys()


def test_every_limit_is_stated(schema):
    models = schema["components"]["schemas"]
    asked = models["RecommendIn"]["properties"]
    assert (asked["n"]["minimum"], asked["n"]["maximum"], asked["n"]["default"]) == (1, 500, 10)
    assert asked["seed_items"]["maxItems"] == 100
    assert asked["seed_items"]["items"]["maxLength"] == 256
    assert models["EventsIn"]["properties"]["events"]["maxItems"] == 1_000
    assert models["RecommendIn"]["additionalProperties"] is False
    assert models["EventIn"]["additionalProperties"] is False


def test_the_examples_are_accepted_by_the_schemas(schema):
    for example in examples_of(schema, "/recommend"):
        RecommendIn.model_validate(example)
    for example in examples_of(schema, "/events"):
        (EventsIn if "events" in example else EventIn).model_validate(example)


def test_the_examples_work(tiny_home):
    (tiny_home / "slowwave.toml").unlink()
    with serving(tiny_home) as client:
        schema = client.get("/openapi.json").json()
        for path in ("/recommend", "/events", "/feedback"):
            for example in examples_of(schema, path):
                answer = client.post(path, json=example)
                assert answer.is_success, answer.text
                assert answer.json().get("rejected", []) == []


def test_calls_with_a_key_say_so(schema):
    for path, operation in operations(schema):
        secured = operation.get("security") == [{"ApiKey": []}]
        assert secured != path.startswith("/health/")
    scheme = schema["components"]["securitySchemes"]["ApiKey"]
    assert (scheme["in"], scheme["name"]) == ("header", "X-API-Key")


def test_the_documentation_page_opens(client):
    answer = client.get("/docs")
    assert answer.status_code == 200
    assert "/openapi.json" in answer.text
