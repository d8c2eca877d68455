"""Intervals, tests, verdicts and scaling against formulas, simulations and planted truths."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr, ttest_1samp

from ganaug.analysis.inference import Evidence, verdict
from ganaug.analysis.metrics import Predictions, score
from ganaug.analysis.paired_tests import difference_test, equivalence_test, holm
from ganaug.analysis.resampling import Draws, Errors, errors_of, mean_interval, overlap_of, resampled_scores
from ganaug.analysis.results import shares_used
from ganaug.analysis.scaling import fit_power_law, order_test, scaling
from ganaug.seeding import derive_seed
from helpers.evidence import evidence, predictions
from helpers.simulated_studies import Subsets


def take(p, index):
    return Predictions(p.images[index], p.labels[index], p.predicted[index], p.probabilities[index], p.classes)


def test_resampled_scores_are_the_scores_of_the_resampled_images():
    p = predictions()
    weights = np.random.default_rng(1).integers(0, 4, (5, 90))
    weights[0], weights[1, p.labels == "COVID"] = 1, 0
    found = resampled_scores(p, weights.astype(np.float32))
    for b in range(5):
        expected = score(take(p, np.repeat(np.arange(90), weights[b])))
        assert list(found) == list(expected)
        assert {k: v[b] for k, v in found.items()} == pytest.approx(expected, abs=1e-6, nan_ok=True)
    never = dataclasses.replace(p, predicted=np.full(90, "Normal", object))
    ones = np.ones((1, 90), np.float32)
    assert {k: v[0] for k, v in resampled_scores(never, ones).items()} == pytest.approx(score(never), abs=1e-6)


def test_groups_are_drawn_whole():
    draws = Draws.make(np.array(["a", "b", "a", "c"]), replicates=3, samples=500, seed=1)
    assert (draws.images[:, 0] == draws.images[:, 2]).all() and not (draws.images[:, 0] == draws.images[:, 1]).all()
    assert draws.images[:, [0, 1, 3]].sum(1).tolist() == [3] * 500
    assert draws.replicates.shape == (500, 3) and set(draws.replicates.ravel()) == {0, 1, 2}
    again = Draws.make(np.array(["a", "b", "a", "c"]), 3, 500, 1)
    assert np.array_equal(draws.images, again.images) and np.array_equal(draws.uniform, again.uniform)


def hits_of(rng, skill, images, groups):
    """Right or wrong, bool [R, N]: by a training's skill, [R], and by how hard a group of images is."""
    _, group = np.unique(groups, return_inverse=True)
    difficulty = rng.normal(0, 1, group.max() + 1)[group]
    return rng.random((len(skill), images)) < 1 / (1 + np.exp(-skill[:, None] - difficulty))


# Half of the images in pairs that are alike, as near-copies or films of a patient.
GROUPED = np.concatenate([np.repeat(np.arange(40), 2), np.arange(40, 120)])


@pytest.mark.slow
@pytest.mark.parametrize(("replicates", "method"), [(3, "percentile"), (5, "percentile"), (20, "BCa")])
@pytest.mark.parametrize("paired", [False, True], ids=["mean", "difference"])
def test_intervals_cover_as_often_as_they_say(replicates, method, paired):
    """93 to 97 % of 95 % intervals hold the truth: of an accuracy, and of a paired difference of two.

    Trainings vary in skill, images in difficulty, and some images come in groups.
    """
    rng, trials, images = np.random.default_rng(replicates), 1500, len(GROUPED)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    spread = math.hypot(0.3, 1)

    def truth(mean):  # over skill and difficulty, both normal
        return float((weights / (1 + np.exp(-mean - spread * nodes))).sum() / weights.sum())

    expected = truth(1) - (truth(0.6) if paired else 0)
    hits = 0
    for trial in range(trials):
        draws = Draws.make(GROUPED, replicates, 300, trial)
        shared = np.random.default_rng(trial + 10**6)
        right = hits_of(shared, rng.normal(1, 0.3, replicates), images, GROUPED).astype(float)
        if paired:
            other = np.random.default_rng(trial + 10**6)  # the same images' difficulties and luck
            right -= hits_of(other, rng.normal(0.6, 0.3, replicates), images, GROUPED)
        _, low, high, name = mean_interval(
            right.mean(1), draws.images @ right.T / draws.images.sum(1)[:, None], draws, 0.95
        )
        hits += low <= expected <= high
    assert name.startswith(method)
    assert 0.93 <= hits / trials <= 0.97, hits / trials


def test_the_interval_of_few_replicates_is_students_where_test_images_do_not_vary():
    draws = Draws.make(np.arange(50), 3, 20000, 1)
    mean, low, high, _ = mean_interval(np.array([1.0, 2, 3]), np.tile([1.0, 2, 3], (20000, 1)), draws, 0.95)
    half = 4.302653 / 3**0.5  # t(0.975, 2) from a printed table
    assert (mean, low, high) == pytest.approx((2, 2 - half, 2 + half), abs=0.01)


def test_one_replicate_or_none_has_no_interval():
    draws = Draws.make(np.arange(50), 1, 100, 1)
    mean, low, high, method = mean_interval(np.array([0.7]), np.full((100, 1), 0.7), draws, 0.95)
    assert mean == 0.7 and math.isnan(low) and math.isnan(high) and method == "none"
    assert math.isnan(mean_interval(np.array([math.nan]), np.full((100, 1), math.nan), draws, 0.95)[0])


def errors(replicates, degrees, images, of_these=0.0):
    return Errors(replicates, degrees, images, of_these)


def test_p_is_students_normals_or_of_both():
    d = np.array([0.004, -0.003, 0.006, 0.001])
    of_trainings = errors(d.std(ddof=1) / 2, 3, 0.0)
    assert difference_test(d.mean(), of_trainings) == pytest.approx(ttest_1samp(d, 0).pvalue)
    assert difference_test(0.0196, errors(0.0, 4, 0.01)) == pytest.approx(0.05, abs=1e-4)  # 1.96 standard errors
    rng = np.random.default_rng(1)
    drawn = 0.01 * rng.standard_t(4, 10**6) + 0.02 * rng.normal(size=10**6)
    both = errors(0.01, 4, 0.02)
    assert difference_test(-0.05, both) == pytest.approx((np.abs(drawn) >= 0.05).mean(), rel=0.02)
    assert difference_test(0.0, both) == pytest.approx(1)
    assert math.isnan(difference_test(0.05, errors(math.nan, 0, math.nan, math.nan)))


def test_replicates_that_agree_make_no_p_smaller_than_test_images_do():
    assert difference_test(0.0196, errors(0.0, 1, 0.0, 0.01)) == pytest.approx(0.05, abs=1e-4)
    assert equivalence_test(0.0, errors(0.0, 1, 0.0, 0.01), 0.01645) == pytest.approx(0.05, abs=1e-4)
    draws = Draws.make(np.arange(200), 2, 2000, 1)
    right = np.random.default_rng(2).random(200) < 0.7
    samples = np.stack([draws.images @ right / 200, draws.images @ ~right / 200 + 0.4], 1)  # they agree in the mean
    samples[:, 1] = samples[:, 0]
    values = np.full(2, right.mean())
    _, low, high, _ = mean_interval(values, samples, draws, 0.95)
    assert (high - low) / 2 >= 1.95 * samples[:, 0].std() and errors_of(values, samples).replicates == 0


def test_equivalence_is_two_one_sided_tests():
    d = np.array([0.004, -0.003, 0.006, 0.001])
    below = ttest_1samp(d, 0.02, alternative="less").pvalue
    above = ttest_1samp(d, -0.02, alternative="greater").pvalue
    alone = errors(d.std(ddof=1) / 2, 3, 0.0)
    assert equivalence_test(d.mean(), alone, 0.02) == pytest.approx(max(below, above))
    assert equivalence_test(d.mean(), errors(alone.replicates, 3, 0.01), 0.02) > max(below, above)
    assert equivalence_test(0.03, alone, 0.02) > 0.5
    assert math.isnan(equivalence_test(0.0, errors(math.nan, 0, math.nan, math.nan), 0.02))
    assert equivalence_test(0.0, errors(0.0, 2, 0.0), 0.02) == 0


def test_replicates_that_share_their_images_have_a_wider_interval():
    draws, values = Draws.make(np.arange(50), 5, 4000, 1), np.array([0.70, 0.72, 0.74, 0.71, 0.73])
    samples = np.tile(values, (4000, 1))
    widths = {}
    for used in (0, 0.5, 1):
        _, low, high, _ = mean_interval(values, samples, draws, 0.95, overlap_of(used, 0.2))
        widths[used] = high - low
    assert widths[1] / widths[0] == pytest.approx(math.sqrt((1 / 5 + 0.2 / 0.8) * 5), rel=1e-6)
    assert widths[0.5] / widths[0] == pytest.approx(math.sqrt((1 / 5 + 0.1 / 0.9) * 5), rel=1e-6)


def test_the_share_is_the_classs_own_or_the_mean_over_classes():
    data = pd.DataFrame({"class": ["a", "b", "none usable"], "pool": [1140, 8660, 0]})
    used = shares_used(data, [500, 1000, "all"])
    assert used["1000"] == pytest.approx({"a": 1000 / 1140, "b": 1000 / 8660}) and used["all"] == {"a": 1, "b": 1}
    e = evidence(2, n=30)
    found = Evidence({}, np.arange(30), e.settings, 1, used)
    assert found.overlap("1000", "a") == pytest.approx(overlap_of(1000 / 1140, 0.2))
    assert found.overlap("1000") == pytest.approx(overlap_of((1000 / 1140 + 1000 / 8660) / 2, 0.2))
    assert found.overlap("all") == found.overlap("all", "b") == pytest.approx(0.25)  # 0.2 / 0.8
    assert found.overlap("200") == e.overlap("50") == overlap_of(0, 0.2) == 0
    assert np.all(np.diff([overlap_of(share, 0.2) for share in np.linspace(0, 1, 20)]) > 0)


def covered_and_called(used, replicates, trials, of_images=0.2, validation_share=0.2):
    """Shares of studies without a difference whose interval holds 0, and whose p is below 0.05.

    Subsets are drawn from a development set. A classifier's skill is from its images, a part of_images of its
    variance, and from luck. The accuracy is of 400 test images of their own difficulties.
    """
    rng, images = np.random.default_rng([replicates, round(100 * used)]), 400
    draws, held, called = Draws.make(np.arange(images), replicates, 400, 1), 0, 0
    for _ in range(trials):
        subsets = Subsets(rng, used, of_images)
        difficulty, right = rng.normal(0, 1, images), np.zeros((replicates, images))
        for r in range(replicates):
            subsets.draw()
            for sign, name in ((1, "gan"), (-1, "none")):
                skill = 1 + 0.5 * subsets.change(name, rng.normal())
                right[r] += sign * (rng.random(images) < 1 / (1 + np.exp(-skill - difficulty)))
        values, samples = right.mean(1), draws.images @ right.T / images
        overlap = overlap_of(used, validation_share)
        _, low, high, _ = mean_interval(values, samples, draws, 0.95, overlap)
        held += low <= 0 <= high
        called += difference_test(values.mean(), errors_of(values, samples, overlap)) < 0.05
    return held / trials, called / trials


@pytest.mark.slow
@pytest.mark.parametrize("used", [0.5, 1.0])
def test_intervals_cover_where_replicates_share_images(used):
    """As where they do not: 93 to 97 %, and as few false alarms."""
    covered, called = covered_and_called(used, 5, 1500)
    assert 0.93 <= covered <= 0.97 and called <= 0.06, (covered, called)


def test_on_the_logit_scale_an_interval_stays_below_1():
    draws, values = Draws.make(np.arange(50), 3, 4000, 1), np.array([0.97, 0.99, 0.98])
    samples = np.tile(values, (4000, 1))
    mean, low, high, _ = mean_interval(values, samples, draws, 0.95, logit=True)
    assert mean == pytest.approx(0.98) and high < 1 and mean - low > high - mean
    assert mean_interval(values, samples, draws, 0.95)[2] > 1


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])) == pytest.approx([1, 1])
    assert holm(np.array([0.02, math.nan, 0.03])) == pytest.approx([0.04, math.nan, 0.04], nan_ok=True)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "better"),
        ({"mean": -0.05, "ci_low": -0.08, "ci_high": -0.02}, "worse"),
        ({"p_holm": 0.06}, "undecided"),
        ({"ci_low": -0.01}, "undecided"),
        ({"ci_low": -0.01, "p_equivalence_holm": 0.01}, "equivalent"),
        ({"p_holm": math.nan}, "undecided"),
        ({"replicates": 1}, "undecided"),
    ],
)
def test_verdicts(changes, expected):
    row = {"mean": 0.05, "ci_low": 0.02, "ci_high": 0.08, "replicates": 5, "p_holm": 0.001, "p_equivalence_holm": 0.9}
    assert verdict(row | changes, 0.05) == expected


def test_planted_effects_are_found_and_alike_ones_are_equivalent():
    table = evidence(6).comparisons().query("metric == 'balanced_accuracy'").set_index(["augmentation", "reference"])
    assert set(table.loc[("gan", "none"), "verdict"]) == {"better"}
    assert set(table.loc[("gan", "classical"), "verdict"]) == {"better"}
    assert set(table.loc[("classical", "none"), "verdict"]) == {"equivalent"}  # the same predictions
    assert set(table["family"]) == {"balanced_accuracy: 12 tests"}
    assert (table["p_holm"] >= table["p"]).all()


@pytest.mark.slow
def test_without_an_effect_nothing_is_found():
    """In 5 % of families at most, since p is corrected within each."""
    alike = {"none": [1.0] * 4, "gan": [1.0] * 4}
    wrong = families = 0
    for shift in range(8):
        e = evidence(3, alike, 120)
        for augmentation, size, r, _ in list(e.predictions):
            p = predictions(120, 1.0, derive_seed(shift, augmentation, size=size, r=r) % 2**32)
            e.predictions[augmentation, size, r, "net"] = p
        table = Evidence(e.predictions, np.arange(120), e.settings, shift, {}).comparisons()
        found = table["verdict"].isin(["better", "worse"]).groupby(table["family"]).any()
        wrong, families = wrong + found.sum(), families + len(found)
    assert wrong / families <= 0.05


def test_equivalence_is_found_where_it_holds_and_seldom_where_it_does_not():
    """With noise: at no difference mostly found, at the margin itself in 5 % of trials."""
    rng, trials, margin = np.random.default_rng(6), 4000, 0.02
    error = 0.004  # of each replicate's difference; the test images add another, shared by all
    for true, least, most in ((0.0, 0.9, 1.0), (margin, 0.0, 0.06), (-margin, 0.0, 0.06), (2 * margin, 0.0, 0.001)):
        found = []
        for mean in rng.normal(true, 0.003, trials):
            d = rng.normal(mean, error, 5)
            found.append(equivalence_test(d.mean(), errors(d.std(ddof=1) / 5**0.5, 4, 0.003), margin) < 0.05)
        assert least <= np.mean(found) <= most


def test_the_test_is_of_trainings_and_test_images():
    alike = {"none": [1.0] * 4, "gan": [1.6] * 4}
    table = evidence(3, alike, 60).comparisons()
    assert set(table["test"]) == {"trainings and test images"}
    one = evidence(1, alike, 60).comparisons()
    assert set(one["verdict"]) == {"undecided"} and one[["ci_low", "p", "p_holm"]].isna().all(axis=None)


def test_the_power_law_is_recovered():
    n = np.array([25, 50, 100, 200, 400, 800.0])
    fit = fit_power_law(n, np.stack([2 * n**-0.5 + 0.05, 0.9 * n**-0.3]))
    assert fit.a == pytest.approx([2, 0.9], rel=0.01) and fit.b == pytest.approx([0.5, 0.3], abs=0.011)
    assert fit.c == pytest.approx([0.05, 0], abs=1e-3)
    assert fit.images(np.array([2 * 100**-0.5 + 0.05, 0.9 * 50**-0.3])) == pytest.approx([100, 50], rel=0.02)
    assert fit.images(np.array([0.01, 0.5]))[0] == math.inf  # below what any number of images reaches
    few = fit_power_law(n[:3], (2 * n[:3] ** -0.5)[None])
    assert few.c[0] == 0 and few.b[0] == pytest.approx(0.5, abs=0.011)
    assert np.isnan(fit_power_law(n[:1], np.ones((1, 1))).a).all()


def test_an_augmentation_worth_twice_the_images_is_found():
    """gan has at every size the skill that none has at the next one, twice as large."""
    e = evidence(n=1200)
    table = scaling(e, {str(size): float(size) for size in e.settings.sizes})
    worth = table[table["quantity"] == "multiplier"].set_index(["augmentation", "size"])
    for size in ("50", "100", "200"):
        row = worth.loc[("gan", size)]
        assert 1.5 < row["value"] < 2.7 and row["ci_low"] < row["value"] < row["ci_high"] and row["ci_low"] > 1
    assert worth.loc[("gan", "400"), "beyond"] and not worth.loc[("gan", "50"), "beyond"]
    assert worth.loc["classical"]["value"].tolist() == [1] * 4  # the same predictions as none's, so exactly 1


def test_an_augmentation_that_changes_nothing_is_worth_1_where_the_law_does_not_fit():
    skills = {"none": [0.8, 2.0, 1.9, 2.6], "same": [0.8, 2.0, 1.9, 2.6]}  # no power law
    e = evidence(skills=skills)
    table = scaling(e, {str(size): float(size) for size in e.settings.sizes}).query("quantity == 'multiplier'")
    assert table["value"].tolist() == [1] * 4
    assert (table["ci_low"] <= 1).all() and (table["ci_high"] >= 1).all()


def test_where_the_error_does_not_fall_an_augmentation_has_no_worth():
    skills = {"none": [2.0, 1.6, 1.2, 0.8], "gan": [2.4, 1.6, 1.2, 0.8]}
    e = evidence(skills=skills)
    table = scaling(e, {str(size): float(size) for size in e.settings.sizes}).query("quantity == 'multiplier'")
    assert table["value"].isna().all() and table["ci_low"].isna().all() and (table["interval"] == "none").all()


def test_growth_is_told_by_the_order_within_replicates():
    n = np.array([50.0, 100, 200])
    rising = np.array([[0.1, 0.5, 0.3], [0.2, 0.6, 0.4], [0.3, 0.7, 0.5]])
    assert order_test(n, rising, 1) == pytest.approx(2 / 6**3)  # all three replicates in order, or all reversed
    assert order_test(n, rising[::-1], 1) == pytest.approx(2 / 6**3)
    assert order_test(n[:2], rising[:2, :2], 1) == 2 / 2**2  # two sizes, two replicates: nothing can be told
    assert math.isnan(order_test(n[:1], rising[:1], 1))
    assert order_test(n, np.ones((3, 3)), 1) == 1
    many = np.random.default_rng(1).normal(0, 1, (300, 5, 4))
    p = np.array([order_test(np.arange(5.0), values, 1) for values in many[:40]])
    assert 0.3 < p.mean() < 0.7
    e = evidence()
    row = scaling(e, {str(size): float(size) for size in e.settings.sizes}).query("quantity == 'spearman'").iloc[0]
    scores = [
        [score(e.predictions["none", str(s), r, "net"])["balanced_accuracy"] for s in e.settings.sizes]
        for r in (1, 2, 3)
    ]
    assert row["value"] == pytest.approx(np.mean([spearmanr(e.settings.sizes, one).statistic for one in scores]))
