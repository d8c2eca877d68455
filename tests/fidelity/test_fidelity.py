"""Fidelity: distances against independent computations, and the stage on image sets."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import torch
from safetensors.torch import load_file, save_file
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from ganaug.cli import main
from ganaug.errors import UserError
from ganaug.fidelity import trial
from ganaug.fidelity.distances import frechet_distance, kernel_distance, precision_recall
from ganaug.fidelity.extractors import INCEPTION, extract, load_extractor
from ganaug.fidelity.features import Features, equal_draws
from ganaug.fidelity.measure import Settings, compare
from ganaug.fidelity.memorisation import closest_pairs, memorisation, nearest
from helpers.networks import write_untrained


def features(count, dimensions, seed, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dimensions, dimensions, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.randn(count, dimensions, generator=generator, dtype=torch.float64) @ mixing + shift


@pytest.mark.parametrize(("n", "m", "d"), [(40, 60, 8), (10, 12, 30), (50, 12, 20)])
def test_frechet_distance_is_that_of_torch_fidelity_and_of_its_definition(n, m, d):
    a, b = features(n, d, 1), features(m, d, 2, shift=0.3)
    value = frechet_distance(a, b)
    theirs = fid_statistics_to_metric(fid_features_to_statistics(a), fid_features_to_statistics(b), False)
    assert value == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)
    if min(n, m) > d:  # with fewer images the covariances are singular and a matrix root is ill-conditioned
        x, y = np.cov(a.numpy(), rowvar=False), np.cov(b.numpy(), rowvar=False)
        root = scipy.linalg.sqrtm(x @ y).real
        direct = ((a.mean(0) - b.mean(0)) ** 2).sum().item() + np.trace(x + y - 2 * root)
        assert value == pytest.approx(direct, rel=1e-6)


def test_distances_are_nothing_between_equals_and_grow_with_the_difference():
    a = features(60, 10, 1)
    values = [frechet_distance(a, a + shift) for shift in (0.0, 0.5, 1.0)]
    assert values[0] == pytest.approx(0, abs=1e-9)
    assert values[1] == pytest.approx(10 * 0.25) and values[2] == pytest.approx(10)  # only the mean has moved
    kernels = [kernel_distance(a, features(60, 10, 2, shift), 30, 50, seed=1)[0] for shift in (0.0, 1.0, 3.0)]
    assert kernels[0] < kernels[1] < kernels[2]


def test_kernel_distance_is_the_unbiased_polynomial_mmd():
    a, b = features(20, 6, 1), features(20, 6, 2, 0.5)
    mean, std = kernel_distance(a, b, subset_size=20, subsets=3, seed=1)  # every subset is the whole set

    def kernel(x, y):
        return (x @ y.T / 6 + 1) ** 3

    off = ~np.eye(20, dtype=bool)
    direct = kernel(a, a)[off].mean() + kernel(b, b)[off].mean() - 2 * kernel(a, b).mean()
    assert mean == pytest.approx(direct.item(), rel=1e-9)
    assert std == pytest.approx(0, abs=1e-9)


def test_precision_is_of_the_synthetic_and_recall_of_the_real():
    generator = torch.Generator().manual_seed(0)
    real = torch.rand(200, 2, generator=generator, dtype=torch.float64)
    narrow = real[:40] * 0.1 + 0.45  # all within the real ones, covering little of them
    precision, recall = precision_recall(narrow, real, 3)
    assert precision == 1 and recall < 0.2


def images(count, seed, blur=0):
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 256, (count, 32, 32)).astype(np.float64)
    for _ in range(blur):
        array = (array + np.roll(array, 1, 1) + np.roll(array, 1, 2)) / 3
    return array.astype(np.uint8)


def test_features_do_not_depend_on_the_batch(lite0):
    extractor = load_extractor("tf_efficientnet_lite0", lite0, 64, torch.device("cpu"))
    array = images(40, 1)
    whole = extract(extractor, array)
    assert whole.shape == (40, 1280) and whole.dtype == torch.float64
    torch.testing.assert_close(whole[33:35], extract(extractor, array[33:35]), rtol=1e-3, atol=1e-4)


def test_inception_runs_through_torch_fidelity(tmp_path):
    """The path of the original FID network, with random weights: the real ones are a download."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Blank(FeatureExtractorInceptionV3):
        def load_state_dict(self, state, **options):  # builds the network without reading a file
            return None

    torch.manual_seed(0)
    torch.save({}, tmp_path / "none.pth")
    network = Blank(INCEPTION, ["2048"], feature_extractor_weights_path=str(tmp_path / "none.pth"))
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    extractor = load_extractor(INCEPTION, tmp_path / "w.safetensors", 0, torch.device("cpu"))
    array = images(2, 1)
    found = extract(extractor, array)
    assert found.shape == (2, 2048)
    colour = torch.from_numpy(array)[:, None].repeat(1, 3, 1, 1)
    torch.testing.assert_close(found.float(), network(colour)[0], rtol=1e-5, atol=1e-6)


COUNTS = ["images", "reference_images"]


def write_set(folder, name, array, classes):
    np.save(folder / f"{name}.npy", array)
    labels = [["a", "NA"].index(c) for c in classes]
    pd.DataFrame({"class": classes, "label": labels}).to_csv(folder / f"{name}.csv", index=False)


def run_stage(folder, lite0, **changes):
    settings = {"extractor": "tf_efficientnet_lite0", "input_size": 32, "kid_subset_size": 6, "kid_subsets": 5}
    files = [
        *("--real-images", "real.npy", "--real-table", "real.csv", "--synthetic-images", "synthetic.npy"),
        *("--synthetic-table", "synthetic.csv", "--snapshots", "snapshots.npy", "--snapshot-table", "snapshots.csv"),
        *("--fidelity", "fidelity.csv", "--curve", "curve.csv"),
        *("--held-out-images", "held_out.npy", "--held-out-table", "held_out.csv"),
        *("--memorisation", "memorisation.csv", "--closest", "closest.csv"),
    ]
    files = [x if x.startswith("--") else str(folder / x) for x in files]
    options = ["--settings", json.dumps(settings | {"prc_neighborhood": 2} | changes), "--seed", "1"]
    return main(["measure_fidelity", *options, "--weights", str(lite0), *files])


@pytest.fixture
def sets(tmp_path):
    classes = ["a", "NA"] * 8
    write_set(tmp_path, "real", images(16, 1, blur=3), classes)
    write_set(tmp_path, "synthetic", images(16, 2, blur=3), classes)
    write_set(tmp_path, "held_out", images(120, 5, blur=3), ["a", "NA", "NA"] * 40)
    np.save(tmp_path / "snapshots.npy", np.stack([images(8, 3), images(8, 4, blur=3)]))
    table = {"index": np.repeat([0, 1], 8), "kimg": np.repeat([0.5, 1.0], 8), "image": [*range(8)] * 2, "label": 0}
    pd.DataFrame(table).to_csv(tmp_path / "snapshots.csv", index=False)
    return tmp_path


@pytest.mark.usefixtures("no_network")
def test_the_stage_measures_all_and_every_class(sets, lite0):
    assert run_stage(sets, lite0) == 0
    table = pd.read_csv(sets / "fidelity.csv", keep_default_na=False)
    assert list(table.columns) == ["class", "reference", "extractor", "metric", "value", "floor", *COUNTS, "warning"]
    assert list(table["class"].unique()) == ["all", "a", "NA"]
    counts = table.groupby(["class", "reference"], sort=False)[COUNTS].first()
    # Held out are 40 and 80; both classes count alike, as in training.
    assert counts.loc["all"].to_numpy().tolist() == [[16, 16], [16, 80]]
    assert counts.loc["NA"].to_numpy().tolist() == [[8, 8], [8, 80]]
    frechet = table[table["metric"] == "frechet_distance"]
    assert frechet["warning"].str.contains("no more images than the 1280 features").all()
    assert (table.loc[table["metric"] != "frechet_distance", "warning"] == "").all()
    # All sets here are drawn alike: the synthetic one is about as far from real images as these from each other,
    # as far as so few can tell.
    assert (frechet["value"] / frechet["floor"]).between(1 / 3, 3).all()
    names = ["frechet_distance", "kernel_distance_mean", "kernel_distance_subset_std", "precision", "recall"]
    assert list(table["metric"].unique()) == names  # never called FID or KID
    curve = pd.read_csv(sets / "curve.csv")
    assert list(curve["kimg"]) == [0.5, 1.0]
    (memory,) = pd.read_csv(sets / "memorisation.csv").itertuples()
    assert memory.synthetic == 16 and memory.held_out == 80 and not memory.copies and 0.3 < memory.effect < 0.7
    closest = pd.read_csv(sets / "closest.csv")
    assert len(closest) == 16 and closest["distance"].is_monotonic_increasing
    assert curve["value"][0] > curve["value"][1]  # noise is farther from blurred images than other blurred ones


def test_a_copy_machine_is_flagged_and_an_honest_generator_is_not():
    train, held_out, honest = features(200, 16, 1), features(300, 16, 2), features(200, 16, 3)
    assert not memorisation(honest, train, held_out)["copies"]
    machine = train + 0.01 * features(200, 16, 4)
    found = memorisation(machine, train, held_out)
    assert found["copies"] and found["effect"] > 0.99 and found["near_share"] == 1 and found["p"] < 1e-10
    some = torch.cat([honest[:180], machine[:20]])  # one in ten is a copy
    found = memorisation(some, train, held_out)
    assert found["copies"] and 0.1 <= found["near_share"] < 0.15
    pairs = closest_pairs(some, train, held_out)
    assert (
        set(pairs["synthetic"][:20]) == set(range(180, 200)) and (pairs["train"] == pairs["synthetic"] - 180)[:20].all()
    )
    assert (pairs["held_out_nearer"][:20] == 0).all()


def test_the_copy_test_says_where_it_is_blind():
    train, held_out, honest = features(200, 16, 1), features(300, 16, 2), features(200, 16, 3)
    found = memorisation(honest, train, held_out)
    assert found["verdict"] == "not flagged" and found["effect"] > 0.4
    far = memorisation(1.3 * honest, train, held_out)  # all of it farther from the training images than unseen ones are
    assert far["effect"] < 0.3 and not far["copies"] and far["verdict"] == "not informative"
    some = memorisation(torch.cat([1.3 * honest, train[:20]]), train, held_out)  # copies are found all the same
    assert some["effect"] < 0.4 and some["verdict"] == "flagged"


def test_the_copy_test_finds_and_misses_what_the_report_says():
    """It finds 5 % of copies, misses copies that noise has moved, and flags low variety without a copy."""
    train, held_out, honest = features(400, 16, 1), features(600, 16, 2), features(400, 16, 3)
    assert memorisation(torch.cat([honest[20:], train[:20]]), train, held_out)["verdict"] == "flagged"
    usual = memorisation(honest, train, held_out)["median_distance_held_out"]
    noise = features(400, 16, 4)
    noise *= 1.1 * usual / noise.norm(dim=1, keepdim=True)  # moves every copy about as far as another film lies
    assert memorisation(train + noise, train, held_out)["verdict"] != "flagged"
    narrow = features(1600, 16, 5) * 0.8
    assert memorisation(narrow, train, held_out)["verdict"] == "flagged"  # and none of it is a copy


def test_a_frechet_distance_compares_between_sizes_only_above_its_floor():
    """A generator that is as wrong at every size: the value falls with the size, what is above the floor does not."""
    settings = Settings("tf_efficientnet_lite0", 32, 20, 2, 3)
    drawn = []
    for seed in range(10, 130, 10):
        for count in (40, 400):
            draws = (features(count, 32, seed), features(count, 32, seed + 1, shift=2.0), features(400, 32, seed + 2))
            sets = [Features(values, np.full(len(values), "x")) for values in draws]
            rows = [row | {"count": count} for row in compare(*sets, settings, 1, "all")]
            drawn += [row for row in rows if row["metric"] == "frechet_distance"]
    table = pd.DataFrame(drawn).eval("above = value - floor")
    means = table.groupby(["reference", "count"])[["value", "above"]].mean()
    for reference in ("train", "held out"):
        few, many = means.loc[reference, 40], means.loc[reference, 400]
        assert few["value"] > 1.7 * many["value"]
        assert few["above"] == pytest.approx(many["above"], rel=0.2)
        assert many["above"] == pytest.approx(32 * 2.0**2, rel=0.1)  # the distance of the means, which is all there is


def test_draws_to_compare_have_the_same_classes():
    a = Features(features(90, 4, 1), np.repeat(["x", "y", "z"], [50, 30, 10]))
    b = Features(features(100, 4, 2), np.repeat(["x", "y", "z"], [20, 40, 40]))
    one, other = equal_draws(a, b, 1)
    for name, count in (("x", 20), ("y", 30), ("z", 10)):
        assert (one.labels == name).sum() == (other.labels == name).sum() == count
    assert torch.equal(one.of_class("y").values, a.of_class("y").values)  # all of the fewer
    again, _ = equal_draws(a, b, 1)
    assert torch.equal(one.values, again.values)
    shared = b.shared_like(Features(features(4, 4, 3), np.array(["x", "x", "y", "z"])), 100, 1)
    assert [int((shared.labels == name).sum()) for name in "xyz"] == [20, 10, 10]


def test_honest_generators_are_seldom_flagged():
    flags = [
        memorisation(features(150, 8, 10 * k + 1), features(100, 8, 10 * k + 2), features(100, 8, 10 * k + 3))["copies"]
        for k in range(60)
    ]
    assert sum(flags) <= 3


def test_nearest_is_the_nearest():
    a, b = features(700, 5, 1), features(40, 5, 2)
    distance, index = nearest(a, b)
    whole = (a[:, None] - b).square().sum(2).sqrt()
    np.testing.assert_allclose(distance, whole.min(1).values, rtol=1e-6)
    assert np.array_equal(index, whole.argmin(1))


def test_too_few_images_are_said_with_what_would_do(sets, lite0, capsys):
    assert run_stage(sets, lite0, kid_subset_size=9) == 1
    assert "kid_subset_size: 9 is above the 8 real images of class" in capsys.readouterr().err
    assert run_stage(sets, lite0, prc_neighborhood=8) == 1
    assert "write at most 7" in capsys.readouterr().err


def test_an_extractor_is_tried_by_one_pass(lite0, tmp_path):
    asked = {"extractor": "tf_efficientnet_lite0", "input_size": 64}
    command = ["check_extractor", "--settings", json.dumps(asked), "--device", "cpu", "--weights", str(lite0)]
    assert main([*command, "--report", str(tmp_path / "check.json")]) == 0
    assert json.loads((tmp_path / "check.json").read_text()) == asked | {"features": 1280}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("levit_128s", r"fidelity\.extractor: levit_128s can't use images of 64 x 64 pixels \(fidelity\.input_size\)"),
        ("levit_128s", r"write fidelity\.input_size: 224, or take another extractor$"),
        ("test_vit", r"weights\.test_vit: \d+ of \d+ layers of test_vit are not among the weights"),
        ("inception-v3-compat", r"fidelity\.extractor: inception-v3-compat can't be built from the weights in .*levit"),
    ],
)
def test_an_extractor_that_can_not_work_is_told(name, message, tmp_path):
    weights = write_untrained(tmp_path, "levit_128s")
    with pytest.raises(UserError, match=message) as error:
        trial.check(trial.Settings(name, 64), weights, torch.device("cpu"))
    assert "\n" not in str(error.value)


def test_weights_of_an_extractor_that_are_no_numbers_are_told(lite0, tmp_path):
    state = load_file(lite0)
    state["conv_stem.weight"][0] = torch.nan
    save_file(state, tmp_path / "broken.safetensors")
    with pytest.raises(UserError, match=r"no finite numbers; see whether weights\.tf_efficientnet_lite0\.source"):
        trial.check(trial.Settings("tf_efficientnet_lite0", 64), tmp_path / "broken.safetensors", torch.device("cpu"))
