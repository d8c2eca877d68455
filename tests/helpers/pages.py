"""The report of a made-up results tree, and what its page holds."""

import json
from html.parser import HTMLParser

from ganaug.analysis.figures import FIGURES
from ganaug.cli import main
from ganaug.study.figures import figures_of
from ganaug.study.settings.resolve import resolve
from helpers.results_tree import make_figure, make_tables, make_tree

OF_GAN = ("real_and_generated", "closest_pairs", "gan_progress", "gan_training", "fidelity", "ratio_sweep")


class Page(HTMLParser):
    """What a page holds: ids, links, sources of anything loaded, tags, text."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.source = text
        self.ids, self.links, self.loaded, self.tags, self.open, self.text = [], [], [], [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "a":
            self.links.append(attrs["href"])
        elif "src" in attrs or "href" in attrs:
            self.loaded.append(attrs.get("src") or attrs["href"])
        if tag == "img":
            assert attrs["alt"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def build(root, grid, classes=None, generated=True):
    """A tree with tables and figures."""
    make_tree(root, grid, **({"classes": classes} if classes else {}), generated=generated)
    assert make_tables(root, grid, generated) == 0
    for name in FIGURES:
        if generated or name not in OF_GAN:
            assert make_figure(root, name, root / "figures", grid) == 0


def settings_of(root, grid, generated=True, source="phantom", **more):
    cells = {name: grid[name] for name in ("augmentations", "sizes", "replicates", "backbones")}
    more = {"external_test": {"data_root": "elsewhere"}} | more
    config = {"study": "s", "sizes": [100], "external_test": {"data_root": "elsewhere"}}
    config = resolve(config)  # of the defaults; the tree's cells are smaller than a study's may be
    for name, value in {"data": {"source": source}, **cells, **more}.items():
        config[name] = config[name] | value if isinstance(value, dict) else value
    synthetic = [a for a in grid["augmentations"] if "gan" in a] if generated else []
    tables = [path.stem for path in (root / "tables").iterdir()]
    parts = {"gan"} if generated else set()
    parts |= {"films"} if config["report"]["images"] else set()
    parts |= {"ratio_sweep"} & set(tables)
    settings = {"title": "Title & more", "grid": grid, "synthetic": synthetic, "config": config}
    return json.dumps(settings | {"tables": tables, "figures": list(figures_of(parts))}), config


def report(root, grid, folder, generated=True, source="phantom", unfinished=None, **more):
    """The report of a tree, written to a folder; returns its page and its config."""
    settings, config = settings_of(root, grid, generated, source, **more)
    command = ["make_report", "--results", str(root), "--report", str(folder / "r.html"), "--settings", settings]
    assert main([*command, *(["--unfinished", str(unfinished)] if unfinished else [])]) == 0
    return Page((folder / "r.html").read_text(encoding="utf-8")), config
