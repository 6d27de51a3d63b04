"""The alert rules that operators are offered: about metrics and labels that there are, each explained in the documentation."""

import re
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.conftest import Platform

ROOT = Path(__file__).parents[2]
RULES = [rule for group in yaml.safe_load((ROOT / "deploy/alerts.yml").read_text())["groups"] for rule in group["rules"]]
OPERATING = (ROOT / "docs/operating.md").read_text()
OF_PROMETHEUS = {"up"}
SELECTOR = re.compile(r"\b(apb_\w+|up)\b(?:\{([^}]*)\})?")
SUFFIXES = ("_bucket", "_count", "_sum")


def labels_of(metric: str) -> set[str]:
    """The labels of a metric, as docs/operating.md has them."""
    row = next(line for line in OPERATING.splitlines() if line.startswith("|") and f"`{metric}`" in line.split("|")[1])
    return set(re.findall(r"`(\w+)`", row.split("|")[2]))


def test_alerts_are_about_metrics_that_there_are(platform: Platform) -> None:
    """A rule about a metric that nobody exports, or a label it has not, never fires."""
    exported = {family.name for family in text_string_to_metric_families(platform.call("GET", "/metrics").text)}
    for rule in RULES:
        found = SELECTOR.findall(rule["expr"])
        assert found, rule["alert"]
        for name, labels in found:
            if name in OF_PROMETHEUS:
                continue
            family = next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)
            assert family in exported, f"{rule['alert']}: {name}"
            assert set(re.findall(r"(\w+)=", labels)) | set(re.findall(r"(\w+)!", labels)) <= labels_of(family), f"{rule['alert']}: {name}"


def test_alerts_are_explained() -> None:
    """Each has a row that says what it means and what to do, and nothing else has; what it says at once names no instance's secrets."""
    explained = re.findall(r"^\| `(Apb\w+)` \|", OPERATING, re.MULTILINE)
    assert explained == [rule["alert"] for rule in RULES]
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] in ("warning", "critical") for rule in RULES)
