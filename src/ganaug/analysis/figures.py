"""Stage make_figure: one figure of the study, as PNG and SVG."""

import argparse
from pathlib import Path

import matplotlib

from ganaug.analysis.figure_style import STYLE, FigureSettings
from ganaug.analysis.missing import add_argument, missing_files
from ganaug.files import written_whole
from ganaug.study.entries import function_of
from ganaug.study.figures import FIGURES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--figure", choices=FIGURES, required=True, help="which figure")
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument("--results", type=Path, required=True, help="folder of the study's results")
    add_argument(inputs)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--png", type=Path, required=True)
    outputs.add_argument("--svg", type=Path, required=True)


def run(args: argparse.Namespace) -> None:
    settings = FigureSettings(**args.settings, missing=missing_files(args.unfinished))
    matplotlib.use("agg")
    with matplotlib.rc_context(STYLE):
        figure = function_of(FIGURES[args.figure].draw)(args.results, settings)
        # No date, version or random ids in the files: the same figure is the same bytes.
        with written_whole(args.png) as path:
            figure.savefig(path, dpi=settings.dpi, bbox_inches="tight", metadata={"Software": None})
        with written_whole(args.svg) as path:
            figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
