import json

import pytest
from pydantic import ValidationError

from service.app import BODIES
from tests.service.conftest import serving

KEYED = {"401", "403", "429", "503"}
ERRORS = {
    "POST /recommend": {"413", "422"} | KEYED,
    "GET /recommend/{user_id}": {"422"} | KEYED,
    "POST /events": {"413", "422"} | KEYED,
    "POST /feedback": {"413", "422"} | KEYED,
    "GET /events/{event_id}": {"404", "422"} | KEYED,
    "GET /items/{item_id}/similar": {"404", "422"} | KEYED,
    "GET /popular": {"422"} | KEYED,
    "GET /items/{item_id}": {"404", "422"} | KEYED,
    "PUT /items/{item_id}": {"413", "422"} | KEYED,
    "PATCH /items/{item_id}": {"404", "413", "422"} | KEYED,
    "DELETE /items/{item_id}": {"404", "422"} | KEYED,
    "PUT /items": {"413", "422"} | KEYED,
    "GET /users/{user_id}": {"404", "422"} | KEYED,
    "PUT /users/{user_id}": {"413", "422"} | KEYED,
    "PATCH /users/{user_id}": {"413", "422"} | KEYED,
    "DELETE /users/{user_id}": {"422"} | KEYED,
    "PUT /users": {"413", "422"} | KEYED,
    "GET /users/{user_id}/memory": {"422"} | KEYED,
    "GET /models": {"409"} | KEYED,
    "GET /models/current": KEYED,
    "GET /models/{version}": {"404", "409", "422"} | KEYED,
    "GET /models/{version}/report": {"404", "409", "422"} | KEYED,
    "POST /admin/consolidate": {"409", "413", "422"} | KEYED,
    "GET /admin/jobs/{job_id}": {"404", "422"} | KEYED,
    "POST /admin/rollback": {"404", "409", "413", "422"} | KEYED,
    "GET /health/live": set(),
    "GET /health/ready": {"503"},
    "GET /metrics": KEYED,
}


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    """What a service that asks for keys says of itself."""
    with serving(tmp_path_factory.mktemp("keys") / "home", auth="on") as client:
        return client.get("/openapi.json").json()


def operations(schema):
    """Operations by what they are called, such as `GET /popular`."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }


def examples_of(operation):
    body = operation["requestBody"]["content"]["application/json"]
    return [example["value"] for example in body["examples"].values()]


def test_every_call_declares_the_errors_it_may_answer_with(schema):
    for call, operation in operations(schema).items():
        declared = {status for status in operation["responses"] if status >= "400"}
        assert declared == ERRORS[call], call
        for status in declared:
            content = operation["responses"][status]["content"]["application/json"]
            assert content["schema"] == {"$ref": "#/components/schemas/ErrorOut"}
    assert operations(schema).keys() == ERRORS.keys()


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
    models = {model.__name__: model for model in BODIES}
    for operation in operations(schema).values():
        if "requestBody" not in operation:
            continue
        part = operation["requestBody"]["content"]["application/json"]["schema"]
        names = [each["$ref"].rpartition("/")[2] for each in part.get("anyOf", [part])]
        for example in examples_of(operation):
            accepted = [name for name in names if fits(models[name], example)]
            assert accepted, (names, example)


def fits(model, example):
    try:
        model.model_validate_json(json.dumps(example))
    except ValidationError:
        return False
    return True


def test_the_examples_work(tiny_home):
    (tiny_home / "slowwave.toml").unlink()
    with serving(tiny_home) as client:
        found = operations(client.get("/openapi.json").json())
        for call in ("PUT /items", "PUT /users", "POST /recommend", "POST /events"):
            for example in examples_of(found[call]):
                answer = client.request(*call.split(), json=example)
                assert answer.is_success, answer.text
                assert answer.json().get("rejected", []) == []
        for call in ("PUT /items/50", "PATCH /items/50", "PUT /users/ada", "PATCH /users/ada"):
            kind = "item" if "item" in call else "user"
            template = call.rpartition("/")[0] + f"/{{{kind}_id}}"
            for example in examples_of(found[template]):
                answer = client.request(*call.split(), json=example)
                assert answer.is_success, answer.text


def test_calls_with_a_key_say_so(schema):
    for call, operation in operations(schema).items():
        secured = operation.get("security") == [{"ApiKey": []}]
        assert secured != ("/health/" in call)
    scheme = schema["components"]["securitySchemes"]["ApiKey"]
    assert (scheme["in"], scheme["name"]) == ("header", "X-API-Key")


def test_every_operation_has_an_id_of_its_own(schema):
    ids = [operation["operationId"] for operation in operations(schema).values()]
    assert len(set(ids)) == len(ids)


def test_a_service_that_asks_for_no_keys_says_nothing_of_them(client):
    open_schema = client.get("/openapi.json").json()
    assert "securitySchemes" not in open_schema["components"]
    for call, operation in operations(open_schema).items():
        assert "security" not in operation
        declared = {status for status in operation["responses"] if status >= "400"}
        assert declared == ERRORS[call] - {"401", "403"}, call
