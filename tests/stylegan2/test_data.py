"""What a training is shown: classes, the stream of images, their bytes as numbers."""

import numpy as np
import pytest
import torch

from ganaug.errors import UserError
from ganaug.stylegan2.data import Stream, read_classes, to_float, to_uint8
from helpers.trainings import CPU, images_in_hand


@pytest.mark.parametrize("rows", ["a,0\nb,0\nc,1\n", "a,0\na,1\n", "a,0\nb,2\n"])
def test_labels_and_classes_must_be_one_to_one(tmp_path, rows):
    (tmp_path / "t.csv").write_text("class,label\n" + rows)
    with pytest.raises(UserError, match="one class each; make the subset again"):
        read_classes(tmp_path / "t.csv")


def test_the_stream_shows_every_image_once_an_epoch_whatever_the_start():
    data = images_in_hand()
    stream, later = Stream(data, 1, False, CPU), Stream(data, 1, False, CPU)
    images, labels = stream.batch(0, 60)
    for epoch in (images[:30], images[30:]):
        assert sorted(x.numpy().tobytes() for x in epoch) == sorted(
            x.numpy().tobytes() for x in to_float(torch.from_numpy(data.images))
        )
    assert not torch.equal(images[:30], images[30:])
    again, again_labels = later.batch(40, 8)
    assert torch.equal(again, images[40:48]) and torch.equal(again_labels, labels[40:48])


def test_mirroring_flips_some_images_left_to_right():
    data = images_in_hand()
    plain, _ = Stream(data, 1, False, CPU).batch(0, 30)
    mirrored, _ = Stream(data, 1, True, CPU).batch(0, 30)
    flipped = (mirrored == plain.flip(3)).all(3).all(2).all(1)
    assert 5 < flipped.sum() < 25 and torch.equal(mirrored[~flipped], plain[~flipped])


def test_bytes_to_floats_and_back():
    x = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    f = to_float(torch.from_numpy(x))
    assert f.shape == (1, 1, 16, 16) and f.min() == -1 and f.max() == 1
    assert np.array_equal(to_uint8(f), x)
    assert np.array_equal(to_uint8(torch.tensor([-3.0, 3.0]).reshape(2, 1, 1, 1)).ravel(), [0, 255])
    assert to_uint8(torch.zeros(2, 3, 4, 4)).shape == (2, 4, 4, 3)
