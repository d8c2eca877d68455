"""How frequent classes are where a classifier was trained and where it is used, and what that does to probabilities."""

import numpy as np
import pandas as pd

from ganaug.analysis.metrics import Predictions


def prevalence(subsets: pd.DataFrame, data: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """size, class, training, weighted, development, test: shares of the images in [0, 1], each over all classes.

    training: of the real images that classifiers of this size train on, the mean over the replicates. weighted: what
    these shares count for in the loss, which weights each class by the inverse of its share: the same for all classes.
    development: of the pool that the subsets are drawn from. test: of the test set. No row of a size whose subsets are
    all missing.
    subsets: size, replicate, side, class, images. data: class, pool, test. classes: in the order of the rows.
    """
    trained = subsets[subsets["side"] == "train"].assign(size=lambda table: table["size"].astype(str))
    counts = trained.pivot_table(index=["size", "replicate"], columns="class", values="images", sort=False)
    shares = counts.reindex(columns=classes).fillna(0)
    means = shares.div(shares.sum(axis=1), axis=0).groupby(level="size", sort=False).mean()
    rows = pd.DataFrame({"class": classes, "weighted": 1 / len(classes)})
    rows["development"], rows["test"] = share(data, "pool", classes), share(data, "test", classes)
    sizes = [rows.assign(size=size, training=means.loc[size].to_numpy()) for size in means.index]
    return pd.concat(sizes, ignore_index=True)[["size", "class", "training", "weighted", "development", "test"]]


def share(data: pd.DataFrame, side: str, classes: list[str]) -> np.ndarray:
    """Share of each class, [C], among the images of a side, `pool` or `test`, by the table of images per class."""
    images = data.set_index("class").loc[classes, side].to_numpy(float)
    return images / images.sum()


def corrected(p: Predictions, trained: np.ndarray, used: np.ndarray) -> Predictions:
    """What a classifier would say where classes are as frequent as `used`, not as they were in training.

    Each probability is multiplied by the class's prevalence in use over that in training, and all are made to add up to
    1 again (Elkan 2001, theorem 2; Saerens et al. 2002, equation 4): right where the classes' images themselves are
    alike in both. trained, used: [C] shares that add up to 1, in the order of the classes. The prediction is the class
    of highest probability. An image all of whose probability is on classes that are of no use keeps its probabilities.
    """
    scaled = p.probabilities * (used / trained)
    total = scaled.sum(1, keepdims=True)
    probabilities = np.where(total > 0, scaled / np.where(total > 0, total, 1), p.probabilities)
    predicted = np.array(p.classes, object)[probabilities.argmax(1)]
    return Predictions(p.images, p.labels, predicted, probabilities, p.classes)
