"""The report of a made-up results tree: whole, self-contained, escaped, and with the tables' numbers."""

import html
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from ganaug.analysis.figures import FIGURES
from ganaug.cli import main
from ganaug.report.content import problem_rows
from helpers.pages import build, report, settings_of
from helpers.results_tree import CLASSES, SMALL

ODD = ["Viral Pneumonia", "<script>alert(1)</script>", 'A&B "quoted"']


@pytest.fixture(scope="module")
def built(once, tmp_path_factory):
    root = once("tree-of-reports", lambda root: build(root, SMALL))
    return root, *report(root, SMALL, tmp_path_factory.mktemp("page"), gan={"kimg": 40})


def test_the_page_is_whole_and_loads_nothing(built):
    _, page, _ = built
    assert len(page.ids) == len(set(page.ids))
    assert page.loaded and all(source.startswith("data:image/") for source in page.loaded)
    assert len(page.loaded) == len(FIGURES)
    assert all(link.removeprefix("#") in page.ids for link in page.links)
    assert "{{" not in page.text and "{%" not in page.text and "nan" not in page.text.split()


def test_the_numbers_are_those_of_the_tables(built):
    root, page, _ = built
    for row in pd.read_csv(root / "tables/summary.csv").itertuples():
        if row.metric in ("balanced_accuracy", "accuracy", "macro_f1", "macro_auroc", "mcc"):
            assert f"{row.mean:.3f}[{row.ci_low:.3f}, {row.ci_high:.3f}]".replace("-", "−") in page.text
    for row in pd.read_csv(root / "tables/comparisons.csv").itertuples():
        if row.metric == "mcc":
            assert f"{row.mean:+.3f}[{row.ci_low:.3f}, {row.ci_high:.3f}]".replace("-", "−") in page.text
    gan = pd.read_csv(root / "tables/comparisons.csv").query("metric == 'balanced_accuracy'")
    gan = gan[(gan["augmentation"] + "/" + gan["reference"]).isin(["gan/none", "gan+classical/classical"])]
    text = " ".join(page.text.split())
    for row in gan.itertuples():
        assert f"{row.augmentation} against {row.reference}:" in text
        said = text.split(f"{row.augmentation} against {row.reference}:")[1].split(".")[0]
        place = "all images" if row.size == "all" else str(row.size)
        assert place in next(part for part in said.split(";") if row.verdict in part)
    for row in pd.read_csv(root / "tables/scaling.csv").query("quantity == 'spearman'").itertuples():
        assert f"{row.augmentation}: undecided (p {row.p:.3f})" in text  # of two sizes no more is shown


def test_what_stands_beside_the_comparison_is_that_of_the_tables(built):
    root, page, _ = built
    text = " ".join(page.text.split())

    def shown(row, mean="mean"):
        return f"{row[mean]:.3f}[{row['ci_low']:.3f}, {row['ci_high']:.3f}]"

    rates = pd.read_csv(root / "tables/class_rates.csv").query("size == 'all'")
    assert all(shown(row, "value") in text for _, row in rates.iterrows())
    summary = pd.read_csv(root / "tables/summary.csv").query("metric in ('ece', 'brier')")
    assert all(shown(row) in text for _, row in summary.iterrows())  # of the classifiers as trained
    calibration = pd.read_csv(root / "tables/calibration.csv").query("priors == 'training'")
    of_all = calibration[calibration["class"] == "all"]
    assert all(shown(row).replace("-", "−") in text for _, row in of_all.iterrows())
    assert all(f"] floor {row['floor']:.3f}" in text for _, row in of_all.dropna(subset="floor").iterrows())
    of_class = calibration[calibration["metric"].isin(["mean_probability", "rms_debiased"])].query("size == 'all'")
    assert all(shown(row).replace("-", "−") in text for _, row in of_class.iterrows())
    transfer = pd.read_csv(root / "tables/transfer.csv")
    faithful = transfer["tested_on"].eq("synthetic") & transfer["metric"].str.startswith("sensitivity")
    assert all(
        shown(row) in text for _, row in transfer[faithful | (transfer["metric"] == "balanced_accuracy")].iterrows()
    )
    external = pd.read_csv(root / "tables/external_summary.csv").query("metric == 'balanced_accuracy'")
    assert all(shown(row) in text for _, row in external.iterrows()) and "48 labelled images from elsewhere" in text
    border = pd.read_csv(root / "tables/shortcut.csv").set_index(["augmentation", "metric"]).loc["border-only"]
    border = border.loc["balanced_accuracy"]
    assert shown(border) in text and f"{100 * border['share']:.0f}%" in text
    fidelity = pd.read_csv(root / "tables/fidelity.csv").query("metric == 'precision' and reference == 'held out'")
    means = fidelity.groupby(["size", "class"])[["value", "floor"]].mean()
    assert all(f"{row['value']:.4f}{row['floor']:.4f}" in text for _, row in means.iterrows())
    assert "Mind: Fréchet distance: no more images than the 1280 features (all of 60 values)." in text


def test_a_frechet_distance_stands_above_its_floor_and_a_spread_is_no_error(built):
    root, page, _ = built
    text = " ".join(page.text.split())
    assert "Fréchet distance above floor" in text and "kernel distance ± spread of subsets" in text
    assert "± is the spread of the subsets, no error of that mean" in text
    fidelity = pd.read_csv(root / "tables/fidelity.csv")
    assert fidelity["above_floor"].equals(fidelity["value"] - fidelity["floor"])
    means = fidelity.groupby(["metric", "size", "class", "reference"])[["value", "floor", "above_floor"]].mean()
    for row in means.loc["frechet_distance"].itertuples():
        assert f"{row.above_floor:.2f}{row.value:.2f} − {row.floor:.2f}" in text
    spreads = means.loc["kernel_distance_subset_std", "value"]
    for key, mean in means.loc["kernel_distance_mean", "value"].items():
        assert f"{mean:.4f} ± {spreads[key]:.4f}" in text


def test_whether_trainings_had_converged_is_told(built, tmp_path):
    root, page, _ = built
    text = " ".join(page.text.split())
    # Those of all images; border-only has no other size.
    said = "24 of 45 classifiers, those beside the comparison included, chose the last of their 6 epochs"
    assert f"Warning: the trainings may have been too short. {said}" in text
    assert f"{said}; over the last 3 epochs the validation loss still fell in 24 of 45" in text
    change = (21 * 0.2 - 24 * 0.1) / 45
    assert f"the validation loss changed by {change:+.3f} per epoch, and validation balanced accuracy by +0.020" in text
    for size, cell in (("25", "0 of 3+0.200"), ("all images", "3 of 3−0.100")):
        assert " ".join([size, *[cell] * len(SMALL["augmentations"])]) in text
    assert "0 of 6 GANs came nearest" not in text and "6 of 6 GANs came nearest to their training images" in text
    other = shutil.copytree(root, tmp_path / "study")
    table = pd.read_csv(other / "tables/convergence.csv")
    for last, warned in ((15, False), (16, True)):  # of 45: a third, and more
        table.assign(chose_last=table.index < last).to_csv(other / "tables/convergence.csv", index=False)
        page, _ = report(other, SMALL, tmp_path, gan={"kimg": 40})
        assert ("the trainings may have been too short" in page.text) == warned
        assert said.replace("24", str(last)) in " ".join(page.text.split())


def test_the_copy_test_is_said_to_tell_nothing_where_it_does(built, tmp_path):
    root = shutil.copytree(built[0], tmp_path / "study")
    path = root / "tables/memorisation.csv"
    table = pd.read_csv(path)
    text = " ".join(built[1].text.split())
    assert "Flagged: 3 of 3 at 25." in text and "Not flagged: 3 of 3 at all images." in text
    assert "Not informative" not in text and "no flag is no proof" in text
    table["verdict"] = ["not informative"] * 3 + ["not flagged", "not informative", "not flagged"]
    table.to_csv(path, index=False)
    text = " ".join(report(root, SMALL, tmp_path, gan={"kimg": 40})[0].text.split())
    assert "(effect below 0.3): 3 of 3 at 25; 1 of 3 at all images." in text
    assert "Not flagged: 2 of 3 at all images." in text and "Flagged:" not in text and "None is" not in text


def test_the_share_of_the_development_set_that_widens_intervals_is_told(built, tmp_path):
    assert "10% at 25, 100% at all. Their spread lacks" in built[1].text
    root = shutil.copytree(built[0], tmp_path / "study")
    data = pd.read_csv(root / "tables/data.csv")
    data.assign(pool=[50, *[1000] * (len(data) - 1)]).to_csv(root / "tables/data.csv", index=False)
    text = report(root, SMALL, tmp_path, gan={"kimg": 40})[0].text
    assert "14% at 25 (50% of the smallest class), 100% at all." in text  # (0.5 + 3 × 0.025) / 4


def test_corrected_priors_are_shown_where_the_classes_are_not_alike(built, tmp_path):
    root = shutil.copytree(built[0], tmp_path / "study")
    assert "a correction changes nothing" in built[1].text
    prevalence = pd.read_csv(root / "tables/prevalence.csv")
    prevalence["development"] = prevalence["class"].map(dict(zip(CLASSES, (0.4, 0.3, 0.2, 0.1), strict=True)))
    prevalence.to_csv(root / "tables/prevalence.csv", index=False)
    calibration = pd.read_csv(root / "tables/calibration.csv")
    corrected = calibration["priors"].eq("development")
    calibration.loc[corrected, "mean"] = np.arange(corrected.sum()) / 10000
    calibration.to_csv(root / "tables/calibration.csv", index=False)
    text = report(root, SMALL, tmp_path, gan={"kimg": 40})[0].text
    assert "In the test set the classes are not equally frequent." in text and all(
        f"{share}%" in text for share in (40, 30, 20, 10)
    )
    shown = calibration[corrected & calibration["class"].eq("all")]
    assert all(f"{row.mean:.3f}[{row.ci_low:.3f}, " in text.replace("−", "-") for row in shown.itertuples())


def test_a_border_that_tells_the_class_is_warned_of_at_the_head(built, tmp_path):
    root = shutil.copytree(built[0], tmp_path / "study")
    path = root / "tables/shortcut.csv"
    table = pd.read_csv(path)
    assert (table["images_low"] > table["chance"]).any()
    for low, share, warned in ((0.26, 0.1, "gives"), (0.24, 0.3, "may give"), (0.24, 0.1, None), (None, None, None)):
        table.assign(ci_low=0.0, ci_high=1.0, images_low=low, share=share).to_csv(path, index=False)
        page, _ = report(root, SMALL, tmp_path, gan={"kimg": 40})
        found = [words for words in ("gives", "may give") if f"Warning: the border {words} the class" in page.text]
        assert found == ([warned] if warned else [])


def test_bold_marks_just_what_is_better_or_worse(built, tmp_path):
    root = shutil.copytree(built[0], tmp_path / "study")
    path = root / "tables/comparisons.csv"
    shown = pd.read_csv(path)
    assert set(shown["verdict"]) <= {"undecided", "equivalent"}  # what three replicates can tell
    shown.loc[shown.index[::7], "verdict"] = "better"
    shown.loc[shown.index[3::7], "verdict"] = "worse"
    shown.to_csv(path, index=False)
    page, _ = report(root, SMALL, tmp_path, gan={"kimg": 40})
    text = page.source
    clear = shown[shown["verdict"].isin(["better", "worse"])]
    assert clear["metric"].eq("balanced_accuracy").any() and len(clear) < len(shown)
    pairs = clear["augmentation"] + "/" + clear["reference"]
    first = ["gan/none", "gan+classical/classical", "gan/classical"]
    again = (clear["metric"].eq("balanced_accuracy") & pairs.isin(first)).sum()
    assert text.count('class="bold"') == len(clear) + again  # the first table shows these once more


def test_the_settings_on_the_page_are_a_config_file(built):
    _, page, config = built
    text = page.source.split("<pre>")[1].split("</pre>")[0]
    assert yaml.safe_load(html.unescape(text)) == config


def test_what_it_must_not_be_taken_for(built, tmp_path):
    root, page, _ = built
    assert "Synthetic phantoms." in page.text and "A demonstration of the GAN" in page.text
    assert "not FID or KID" in page.text and "different hospitals" not in page.text
    page, _ = report(
        root, SMALL, tmp_path, source="radiography", gan={"kimg": 5000}, fidelity={"extractor": "inception-v3-compat"}
    )
    assert "hantom" not in page.text.split("All settings of the study")[0] and "A demonstration" not in page.text
    assert "not FID or KID" not in page.text and "different hospitals" in page.text


def test_a_training_without_ada_is_told_as_such(built, tmp_path):
    page, _ = report(built[0], SMALL, tmp_path, gan={"kimg": 40, "ada_target": None})
    assert "ADA was off." in page.text and "the discriminator overfits" not in page.text


def test_problems_of_the_data_are_counted(built):
    _, page, _ = built
    text = " ".join(page.text.split())
    assert "near-copyCOVID2kept together" in text
    assert "1 pair of near-copies has two labels" in text
    assert "truncatedCOVID1left out" in text and "16-bitLung_Opacity1scaled to 8 bits" in text


def test_what_belongs_to_no_class_is_listed_too(tmp_path):
    lines = ["file,class,problem,action", "__MACOSX,,left by macOS,not used", "a,A,truncated,left out"]
    lines += [
        "c/0.png,,in data.groups: fits no image,not applied",
        "c/1.png,,in data.groups: fits no image,not applied",
    ]
    (tmp_path / "p.csv").write_text("\n".join(lines))
    rows = problem_rows(tmp_path / "p.csv")
    assert [(row["problem"], row["class"], row["files"]) for row in rows] == [
        ("left by macOS", "", 1),
        ("truncated", "A", 1),
        ("in data.groups: fits no image", "", 2),
    ]


@pytest.mark.parametrize("planted", [False, True])
def test_what_is_said_of_patients_is_counted(built, tmp_path, planted):
    """Every two images of a class are of one patient; five images are in no table."""
    root = shutil.copytree(built[0], tmp_path / "study")
    splits = pd.read_csv(root / "data/splits.csv")
    manifest = splits[["file", "pixels_sha256"]].assign(known_group=splits["group"])
    manifest.loc[:4, "known_group"] = ""
    if planted:
        manifest.loc[splits["side"].eq("pool").idxmax(), "known_group"] = splits["group"][10]
    manifest.to_csv(root / "data/manifest.csv", index=False)
    page, _ = report(root, SMALL, tmp_path, source="folder", data={"source": "folder", "groups": "p.csv"})
    text = " ".join(page.text.split())
    sides = "1 on two sides" if planted else "none on two sides"
    assert f"1,195 of 1,200 images have a group in p.csv; 598 groups; {sides} of the test split." in text
    assert "5 images have no group in p.csv" in text and "Patients are not known" not in text
    manifest.assign(known_group="").to_csv(root / "data/manifest.csv", index=False)
    page, _ = report(root, SMALL, tmp_path, source="folder", data={"source": "folder", "groups": "p.csv"})
    assert "0 of 1,200 images have a group" in page.text and "Patients are not known by name" in page.text


def test_provenance_is_told(built):
    _, page, _ = built
    for text in ("0123456789abcdef0123456789abcdef01234567", "torch 2.11.0", "Python 3.11.2", "900 MiB"):
        assert text in page.text


def test_odd_class_names_are_escaped_and_a_study_without_gan_or_replicates_is_told_as_such(tmp_path):
    grid = {**SMALL, "sizes": [25], "replicates": 1, "augmentations": ["none", "classical"]}
    grid |= {"synthetic": [], "ratios": [], "probes": []}
    root, seen = tmp_path / "study", {"generated": False, "source": "folder"}
    build(root, grid, classes=ODD, generated=False)
    page, _ = report(root, grid, tmp_path, **seen)
    (root / "data/problems.csv").write_text("file,class,problem,action\n")
    assert "No file had a problem." in report(root, grid, tmp_path, **seen)[0].text
    assert "script" not in page.tags
    assert all(name in page.text for name in ODD) and "Title & more" in page.text
    assert "synthetic" not in page.ids and "GAN images" not in page.text
    assert "One replicate: no interval" in page.text and "Beyond this test set" not in page.text
    wilson = 2 * 2 * len(ODD)  # these are of the test images alone: sensitivity and specificity, two augmentations
    assert page.text.split("All settings of the study")[0].count("[") == wilson


def test_a_missing_part_is_named(built, tmp_path, capsys):
    root = shutil.copytree(built[0], tmp_path / "study")
    settings, _ = settings_of(root, SMALL)
    path = root / "cells/none/size-25/replicate-1/tf_efficientnet_lite0/provenance.json"
    path.unlink()
    status = main(["make_report", "--results", str(root), "--report", str(tmp_path / "x"), "--settings", settings])
    assert status == 1 and str(path) in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
