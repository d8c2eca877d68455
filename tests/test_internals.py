"""The rules use no more of Snakemake's internals than is listed here, and the list is true: it only gets shorter."""

import re
from collections import Counter

from helpers.running import ROOT

# As regular expressions. Code that uses Snakemake needs its command line, its rules' language and the study's files.
INTERNALS = [
    *(r"workflow\.dag\b", "dag_settings", r"\.scheduler\b|\bscheduler\.", "persistence", "_lockfile", "async_run"),
    *("is_main_process", "storage_settings", "resource_settings", "deployment_settings", "executor_plugin"),
    *("overwrite_configfiles", r"workflow\.touch\b", "register_resource", "global_resources", "iocontainers"),
    *("is_producer", "expand_(?:output|input|log|benchmark)", "get_rule", r"sys\.modules"),
]
# How often a file still uses what. Strike off what you remove.
LEFT = {
    "workflow/rules/common.smk": {"is_main_process": 1},
    "workflow/rules/data.smk": {"storage_settings": 1},
    "workflow/rules/driver.smk": {
        "async_run": 1,
        "dag_settings": 1,
        "executor_plugin": 4,
        "persistence": 2,
        "scheduler": 2,
        "storage_settings": 1,
        "sys.modules": 1,
        "workflow.dag": 4,
        "workflow.touch": 1,
    },
    "workflow/rules/lineage.smk": {"storage_settings": 1, "workflow.dag": 2, "workflow.touch": 2},
    "workflow/rules/resources.smk": {
        "executor_plugin": 1,
        "global_resources": 1,
        "register_resource": 1,
        "resource_settings": 2,
        "storage_settings": 1,
    },
}


def uses() -> dict[str, Counter[str]]:
    """By file, what it uses and how often."""
    files = [ROOT / "Snakefile", *(ROOT / "workflow").rglob("*"), *(ROOT / "profiles").rglob("*")]
    found = {}
    for path in files:
        if path.is_file() and path.suffix not in (".md", ".png", ".rst"):
            text = path.read_text(encoding="utf-8")
            counts = Counter(use.strip(".") for pattern in INTERNALS for use in re.findall(pattern, text))
            if counts:
                found[str(path.relative_to(ROOT))] = counts
    return found


def test_no_more_of_snakemakes_internals_is_used_than_is_listed():
    more = {name: dict(counts - Counter(LEFT.get(name, {}))) for name, counts in uses().items()}
    assert not {name: counts for name, counts in more.items() if counts}, "reach it by Snakemake's public face"


def test_what_is_not_used_any_more_is_struck_off_the_list():
    found = uses()
    less = {name: dict(Counter(counts) - found.get(name, Counter())) for name, counts in LEFT.items()}
    assert not {name: counts for name, counts in less.items() if counts}, "strike it off LEFT"
    assert LEFT.keys() == found.keys()
