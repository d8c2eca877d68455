"""The figures that show films or what generators made of them; `report.images` decides whether they are drawn."""

from ganaug.study.figures import FIGURES

PICTURES = tuple(name for name, entry in FIGURES.items() if "films" in entry.needs)
