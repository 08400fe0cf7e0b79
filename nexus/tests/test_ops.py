"""Alerts and dashboards use metrics that the service has."""

import json
import re

import pytest
import yaml

from nexus.dev.embedded import ROOT
from recommendations.models import Training
from social.models import FiguresCheck

METRIC = re.compile(r"\bnexus_\w+")
RULES = yaml.safe_load((ROOT / "ops" / "alerts.yaml").read_text("utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((ROOT / "ops" / "grafana-dashboard.json").read_text("utf-8"))
GRAPHS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


@pytest.fixture
def metric_names(api, db):
    """Return the names of all series at /metrics, with those that histograms add."""
    Training.objects.create(algorithm="edlae-1", state=Training.State.READY, active=True)
    FiguresCheck.objects.create()
    names = set()
    for name, kind in re.findall(
        r"^# TYPE (\S+) (\w+)$", api.get("/metrics").content.decode(), re.M
    ):
        names |= {f"{name}{end}" for end in ("_bucket", "_sum", "_count")}
        names -= {f"{name}_bucket"} if kind != "histogram" else set()
        names.add(name)
    return names


def has_balanced_brackets(expression):
    bare = re.sub(r'"[^"]*"', "", expression)
    return all(bare.count(left) == bare.count(right) for left, right in ("()", "{}", "[]"))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_uses_existing_metrics_and_says_what_to_do(rule, metric_names):
    assert set(METRIC.findall(rule["expr"])) <= metric_names
    assert has_balanced_brackets(rule["expr"])
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "do"}


def test_every_graph_uses_existing_metrics(metric_names):
    expressions = [target["expr"] for panel in GRAPHS for target in panel["targets"]]

    assert all(has_balanced_brackets(expression) for expression in expressions)
    assert {
        name for expression in expressions for name in METRIC.findall(expression)
    } <= metric_names


def test_the_graphs_do_not_overlap():
    occupied = set()

    for panel in DASHBOARD["panels"]:
        position = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(position["x"], position["x"] + position["w"])
            for y in range(position["y"], position["y"] + position["h"])
        }
        assert not cells & occupied, panel["title"]
        occupied |= cells

    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
