"""The whole declared surface under arbitrary requests: no 5xx, no answer that is not declared."""

import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok

from model.storage.api_keys import SCOPES, KeyRing, new_key, save_keys
from model.workspace import Workspace
from service.app import create_app
from service.jobs import Jobs
from service.settings import load_settings
from tests.service.conftest import serving

pytestmark = pytest.mark.fuzz

ALWAYS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
]
# In a batch the bad ones are listed, and their neighbours are taken.
BATCHES = {"POST /events", "POST /feedback", "PUT /items", "PUT /users"}
# Making requests from a schema is slow: a fifth of what other properties are tried with.
fuzzed = settings(
    max_examples=(settings.default or settings()).max_examples // 5,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture(scope="module")
def guarded(trained_home, tmp_path_factory):
    """The URL of a service that asks for keys, and a key that may do everything."""
    home = shutil.copytree(trained_home, tmp_path_factory.mktemp("fuzzed") / "home")
    ring, key = KeyRing(), new_key("fuzz", frozenset(SCOPES), bytes([7] * 32), 0)
    save_keys(ring.with_key(key[1]), Workspace(home).keys_path)
    with (
        pytest.MonkeyPatch.context() as patch,
        serving(home, auth="on", model_poll_s=0.5) as client,
    ):
        # a hundred nights would take a day
        patch.setattr(Jobs, "can_train", staticmethod(lambda: False))
        yield str(client.base_url), key[0]


load_all_checks()
APP = create_app(load_settings(home=Path("nowhere")))
FOUND = schemathesis.openapi.from_dict(APP.openapi()).get_all_operations()
OPERATIONS = {found.ok().label: found.ok() for found in FOUND if isinstance(found, Ok)}


def requests_of(label):
    """Requests as they are declared, and such that are not."""
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    operation = OPERATIONS[label]
    return st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))


def checks(names):
    return [CHECKS.get_one(name) for name in names]


def must_be_refused(case, answer):
    """Whether a request is bad as it was sent: what is wrong may be lost on the way into a URL."""
    modes = {place: info.mode for place, info in case.meta.components.items()}
    if modes.get(ParameterLocation.BODY) is GenerationMode.NEGATIVE:
        return case.operation.label not in BATCHES
    declared = {parameter.name for parameter in case.operation.query}
    sent = parse_qs(urlsplit(answer.request.url).query, keep_blank_values=True)
    return not sent.keys() <= declared


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_of_a_known_caller_gets_a_5xx_or_an_undeclared_answer(label, guarded):
    url, key = guarded

    @fuzzed
    @given(requests_of(label))
    def ask(case):
        answer = case.call(base_url=url, headers={"X-API-Key": key}, timeout=30)
        refused = ["negative_data_rejection"] if must_be_refused(case, answer) else []
        case.validate_response(answer, checks=checks([*ALWAYS, *refused]))

    ask()


@pytest.mark.parametrize("label", [label for label in OPERATIONS if "/health/" not in label])
def test_no_request_of_a_stranger_gets_through(label, guarded):
    url, _ = guarded

    @settings(fuzzed, max_examples=5)
    @given(requests_of(label), st.sampled_from([None, "", "sw_" + "0" * 64, "x" * 1_000]))
    def ask(case, key):
        for name in [name for name in case.headers if name.lower() == "x-api-key"]:
            del case.headers[name]
        given = {} if key is None else {"X-API-Key": key}
        answer = case.call(base_url=url, headers=given, timeout=30)
        case.validate_response(answer, checks=checks(ALWAYS))
        # an id such as `..` makes another path of it, which leads nowhere
        assert answer.status_code in {401, 404}

    ask()
