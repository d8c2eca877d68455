"""Stage make_report: the whole study on one self-contained HTML page."""

import argparse
import base64
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd
import yaml

from ganaug.analysis.missing import add_argument, missing_files
from ganaug.analysis.results import read_table
from ganaug.data import patients
from ganaug.errors import UserError
from ganaug.files import write_text
from ganaug.privacy import text_without_folders, without_folders
from ganaug.report import content, extras, growth, methods, record
from ganaug.report.films import films
from ganaug.report.missing import missing
from ganaug.study.figures import FIGURES
from ganaug.study.grid import Grid
from ganaug.study.tables import TABLES

HERE = Path(__file__).parent
DEMONSTRATION_KIMG = 1000  # below this a StyleGAN2-ADA has hardly begun; its authors train for 25,000


@dataclass(frozen=True)
class Settings:
    """title: of the page. grid: the study's cells. synthetic: its augmentations that use synthetic images. tables,
    figures: names of those that it has. config: the whole study, resolved."""

    title: str
    grid: dict
    synthetic: list[str]
    tables: list[str]
    figures: list[str]
    config: dict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--results", type=Path, required=True, help="folder of the study's results")
    add_argument(inputs)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--report", type=Path, required=True)


def run(args: argparse.Namespace) -> None:
    write_text(args.report, render(args.results, Settings(**args.settings), args.unfinished))


def render(results: Path, settings: Settings, unfinished: Path | None) -> str:
    """The page's HTML; every number in it is read from the tables, the provenance files or the settings. Of absolute
    paths it shows the last part.

    results: folder of the study, with tables/, figures/ and the provenance files. unfinished: what an incomplete study
    lacks. Raises UserError where something else is missing.
    """
    config = without_folders(settings.config)
    grid = Grid(**settings.grid, missing=missing_files(unfinished))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["hours"] = record.hours
    environment.filters["without_folders"] = lambda text: text_without_folders(text, _folders(settings.config))
    facts = dict(
        title=settings.title,
        config=config,
        grid=grid,
        missing=missing(unfinished),
        settings_yaml=yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
        generated=bool(settings.synthetic),
        synthetic=settings.synthetic,
        demonstration=bool(settings.synthetic) and config["gan"]["kimg"] < DEMONSTRATION_KIMG,
        methods=methods.augmentations_in_words(grid.augmentations, config),
        patients=_patients(results) if config["data"]["groups"] else None,
        films=films(results),
        run=record.facts(results, grid, bool(settings.synthetic)),
        **content.numbers(results, grid, settings.synthetic, config["statistics"]["confidence"]),
        **growth.growth(results / "tables", grid, 1 - config["statistics"]["confidence"]),
        **extras.extras(results, grid, settings.tables),
    )
    figures = _figures(results, settings, environment, facts)
    return environment.get_template("page.html.j2").render(figures=figures, tables=_tables(results, settings), **facts)


def _patients(results: Path) -> dict[str, int]:
    """What the table in data.groups says of the images, counted; see patients.count."""
    manifest = read_table(results / "data" / "manifest.csv", ["pixels_sha256", "known_group"])
    return patients.count(manifest, read_table(results / "data" / "splits.csv", ["pixels_sha256", "side"]))


def _folders(config: dict) -> list[str]:
    """Folders that a message may name: the data's, and where the study runs."""
    external = (config["external_test"] or {}).get("data_root")
    return [folder for folder in (config["data_root"], external, str(Path.cwd())) if folder]


def _figures(results: Path, settings: Settings, environment: jinja2.Environment, facts: dict) -> list[dict[str, str]]:
    """The figures that the study has, as the template shows them. legend: HTML. source: the file as a data URI."""
    return [
        {
            "name": entry.name,
            "place": entry.place,
            "alt": entry.alt,
            "legend": environment.from_string(entry.legend or "{{ caption }}").render(caption=entry.caption, **facts),
            "source": _data_uri(results / "figures" / f"{entry.name}{entry.suffix}"),
        }
        for entry in map(FIGURES.__getitem__, settings.figures)
    ]


def _tables(results: Path, settings: Settings) -> list[dict]:
    """The tables that the page shows as they are."""
    shown = [TABLES[name] for name in settings.tables if TABLES[name].place]
    return [
        {"name": entry.name, "place": entry.place, "caption": f"{entry.holds[0].upper()}{entry.holds[1:]}."}
        | _columns_and_rows(read_table(results / "tables" / f"{entry.name}.csv", entry.columns.split()))
        for entry in shown
    ]


def _columns_and_rows(table: pd.DataFrame) -> dict[str, list]:
    texts = [
        [content.number(v) if isinstance(v, float) else str(v) for v in row] for row in table.itertuples(index=False)
    ]
    return {"columns": [name.replace("_", " ") for name in table.columns], "rows": texts}


def _data_uri(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"{path}: missing; the job that draws it has not finished. Run the study again")
    kind = {".svg": "image/svg+xml", ".png": "image/png"}[path.suffix]
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
