"""Stage make_figure: one figure of the study, as PNG and SVG."""

import argparse
from pathlib import Path

import matplotlib

from ganaug.analysis import figures_classes, figures_data, figures_gan, figures_images, figures_scores
from ganaug.analysis.figure_style import STYLE, FigureSettings
from ganaug.analysis.missing import add_argument, missing_files
from ganaug.files import written_whole

FIGURES = {
    "learning_curve": figures_scores.learning_curve,
    "differences": figures_scores.differences,
    "confusion_matrices": figures_scores.confusion_matrices,
    "roc": figures_classes.roc,
    "precision_recall": figures_classes.precision_recall,
    "reliability": figures_classes.reliability,
    "near_copies": figures_data.near_copies,
    "class_examples": figures_images.class_examples,
    "real_and_generated": figures_images.real_and_generated,
    "closest_pairs": figures_images.closest_pairs,
    "gan_progress": figures_images.gan_progress,
    "gan_training": figures_gan.gan_training,
    "fidelity": figures_gan.fidelity,
    "ratio_sweep": figures_scores.ratio_sweep,
}


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
        figure = FIGURES[args.figure](args.results, settings)
        # No date, version or random ids in the files: the same figure is the same bytes.
        with written_whole(args.png) as path:
            figure.savefig(path, dpi=settings.dpi, bbox_inches="tight", metadata={"Software": None})
        with written_whole(args.svg) as path:
            figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
