"""The file for Grafana names what a scrape of a real site has."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
FILE = json.loads((DOCS / "grafana-dashboard.json").read_text())
FUNCTIONS = {"rate", "max", "sum", "topk", "time", "by", "and", "label_values"}


def expressions() -> list[str]:
    panels = [target["expr"] for panel in FILE["panels"] for target in panel["targets"]]
    return [*panels, *(one["expr"] for one in FILE["annotations"]["list"]), FILE["templating"]["list"][1]["definition"]]


def test_the_file_is_the_one_that_the_script_writes() -> None:
    made = runpy.run_path(str(DOCS / "grafana_dashboard.py"))
    assert made["text"]() == (DOCS / "grafana-dashboard.json").read_text(), "run docs/grafana_dashboard.py"


def test_every_metric_and_label_of_the_file_is_exported(shop: None, scrape: Any) -> None:
    found = scrape()
    labels = {name for _metric, names in found.samples for name, _value in names}
    for expression in expressions():
        named = set(re.findall(r"\bcache_admin_\w+", expression))
        assert named <= found.names, expression
        assert named, expression
        words = set(re.findall(r"[a-z_]+", re.sub(r"cache_admin_\w+|\$__rate_interval|\$alias", "", expression)))
        assert words - FUNCTIONS <= labels, expression
        assert expression.count("(") == expression.count(")")
        for counter in re.findall(r"rate\(\s*(\w+)", expression):
            assert found.kinds[counter] == "counter", "a rate is of a counter"
        for summed in named:
            assert (found.kinds[summed] == "counter") == ("rate(" in expression or "label_values" in expression)


def test_legends_name_labels_that_the_expressions_keep() -> None:
    for panel in FILE["panels"]:
        for target in panel["targets"]:
            kept = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([\w, ]+)\)", target["expr"]))))
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= kept, panel["title"]


def test_panels_stand_beside_each_other() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in FILE["panels"]]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in FILE["panels"]})
    assert all(panel["title"] and panel["description"] for panel in FILE["panels"])
