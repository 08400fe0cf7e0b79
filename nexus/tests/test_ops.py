"""What watches the service speaks of figures that the service has."""

import json
import re

import pytest
import yaml

from nexus.dev.embedded import ROOT
from recommendations.models import Training

METRIC = re.compile(r"\bnexus_\w+")
RULES = yaml.safe_load((ROOT / "ops" / "alerts.yaml").read_text("utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((ROOT / "ops" / "grafana-dashboard.json").read_text("utf-8"))
GRAPHS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


@pytest.fixture
def known(api, db):
    """The names of all series at /metrics, with those that a histogram makes."""
    Training.objects.create(algorithm="edlae-1", state=Training.State.READY, active=True)
    names = set()
    for name, kind in re.findall(
        r"^# TYPE (\S+) (\w+)$", api.get("/metrics").content.decode(), re.M
    ):
        names |= {f"{name}{end}" for end in ("_bucket", "_sum", "_count")}
        names -= {f"{name}_bucket"} if kind != "histogram" else set()
        names.add(name)
    return names


def balanced(expression):
    bare = re.sub(r'"[^"]*"', "", expression)
    return all(bare.count(left) == bare.count(right) for left, right in ("()", "{}", "[]"))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_uses_existing_metrics_and_says_what_to_do(rule, known):
    assert set(METRIC.findall(rule["expr"])) <= known
    assert balanced(rule["expr"])
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "do"}


def test_every_graph_uses_existing_metrics(known):
    asked = [target["expr"] for panel in GRAPHS for target in panel["targets"]]
    assert all(balanced(expression) for expression in asked)
    assert {name for expression in asked for name in METRIC.findall(expression)} <= known


def test_the_graphs_do_not_overlap():
    places = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & places, panel["title"]
        places |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
