"""Dashboard and alerts name only metrics that exist, and the dashboard shows all of them."""

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.telemetry import Metrics
from tests.repository import ROOT
from tests.service.conftest import serving, wait_until

DASHBOARD = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text("utf-8"))
PANELS = DASHBOARD["panels"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel.get("targets", [])]
ALERTS = re.findall(r"expr: (?:>-\s+)?(.*?)\n(?:        for|        ann)",
                    (ROOT / "deploy" / "alerts.yml").read_text("utf-8"), re.DOTALL)  # fmt: skip
NAME = re.compile(r"slowwave_\w+")


def families():
    """Name and labels of every metric."""
    collected = Metrics()._registry.collect()  # noqa: SLF001 (also those without a sample yet)
    named = {family.name: family for family in collected}
    return {
        f"{name}_total" if family.type == "counter" else name: family
        for name, family in named.items()
    }


def family_of(name):
    """The metric that a name in an expression belongs to."""
    known = families()
    plain = re.sub(r"_(bucket|sum|count)$", "", name)
    return name if name in known else plain if plain in known else None


@pytest.mark.parametrize("expression", [*EXPRESSIONS, *ALERTS])
def test_every_expression_names_metrics_that_exist(expression):
    names = NAME.findall(expression)
    assert names
    assert [name for name in names if family_of(name) is None] == []


def test_the_dashboard_shows_every_metric():
    shown = {family_of(name) for expression in EXPRESSIONS for name in NAME.findall(expression)}
    assert families().keys() - shown == set()


def test_every_label_that_is_asked_for_is_there():
    labels = {"le"}
    for name in dir(metrics := Metrics()):
        labels |= set(getattr(getattr(metrics, name), "_labelnames", ()))
    labels |= {"method", "route", "status", "source", "version", "stage"}
    for expression in [*EXPRESSIONS, *ALERTS]:
        for group in re.findall(r"by \(([\w, ]+)\)", expression):
            assert set(group.replace(" ", "").split(",")) <= labels, expression


def test_panels_have_ids_of_their_own_and_do_not_overlap():
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_metric_says_what_it_is():
    assert all(family.documentation.endswith(".") or family.documentation.endswith(").")
               for family in families().values())  # fmt: skip


def value(text, name, **labels):
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return 0.0


def test_what_is_recommended_and_what_it_earns_is_counted_by_part_and_version(tiny_home):
    with serving(tiny_home) as client:
        reply = client.post("/recommend", json={"user_id": "u1", "n": 5}).json()
        first = reply["items"][0]
        event = {"user_id": "u1", "item_id": first["item_id"], "request_id": reply["request_id"]}
        for event_id, kind in (("a", "like"), ("a", "like"), ("b", "dislike"), ("c", "view")):
            client.post("/events", json={"event_id": event_id, "event_type": kind, **event})
        client.post("/events", json={"event_type": "like", **event, "request_id": "no such"})
        client.post("/events", json={"event_type": "like", **event, "item_id": "i39"})
        text = client.get("/metrics").text
    version = reply["model_version"]
    sources = [item["source"] for item in reply["items"]]
    for source in set(sources):
        found = value(text, "slowwave_recommended_items_total", source=source, version=version)
        assert found == sources.count(source)
    # the like and the view; not the duplicate, and not the failure
    earned = value(text, "slowwave_successes_total", source=first["source"], version=version)
    assert earned == 2
    unknown = value(text, "slowwave_successes_total", source="unknown", version="unknown")
    assert unknown >= 1
    assert value(text, "slowwave_stage_seconds_count", stage="score") == 1


def test_the_time_to_effect_of_what_is_taken_is_observed(tiny_home):
    with serving(tiny_home) as client:
        for number in range(3):
            event = {"event_type": "like", "user_id": f"t{number}", "item_id": "i1"}
            client.post("/events", json=event)
            client.get("/recommend/u1")
        wait_until(lambda: "slowwave_log_lag_entries 0.0" in client.get("/metrics").text)
        text = client.get("/metrics").text
    assert value(text, "slowwave_time_to_effect_seconds_count") == 3
    assert value(text, "slowwave_time_to_effect_seconds_sum") < 3
    assert value(text, "slowwave_resident_bytes") >= 0
    assert value(text, "slowwave_memory_bytes") > 0
