"""The figures that show films or what generators made of them; `report.images` decides whether they are drawn."""

PICTURES = ("class_examples", "real_and_generated", "closest_pairs", "gan_progress")
