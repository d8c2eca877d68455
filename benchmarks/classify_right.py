"""Part of gpu_classify.py: whether what is done on the device is right, against the CPU and against itself."""

import traceback
from pathlib import Path

from classify_inputs import (
    AUGMENTATIONS,
    CLASSICAL,
    make_trainer,
    random_generator,
    random_images,
    random_weights,
    say,
    spent,
)
from classify_stages import ends_well, scores_alike, stage_commands, start


def check(args, folder: Path, device) -> None:
    commands = stage_commands(folder, args)
    running = {name: start(command, folder, name) for name, command in commands.items() if name != "score_images"}
    checks = {
        "batches on the device are those of the CPU": (batches_agree, folder, device),
        "classical on the device is that of the CPU": (classical_agrees, device),
        "features on the device are those of the CPU": (features_agree, folder, device, 40 if args.quick else 300),
        "samples on the device are those of the CPU": (samples_agree, device),
        "a lost number stops the training": (lost_numbers_stop, folder, device),
    }
    for augmentation in ("none", "mixup") if args.quick else AUGMENTATIONS:
        checks[f"{augmentation} trains"] = (trains, folder, device, augmentation)
    few = (
        ("tf_efficientnet_lite0",)
        if args.quick
        else ("tf_efficientnet_lite0", "resnet18", "efficientnet_b0", "densenet121")
    )
    for backbone in few:
        for arithmetic in ("float32",) if args.quick else ("float32", "bfloat16"):
            name = f"{backbone} in {arithmetic} goes on from a checkpoint with the same bits"
            checks[name] = (resumes, folder, device, backbone, arithmetic)
    for name, (function, *arguments) in checks.items():
        if spent() > args.seconds:
            say({"check": name, "pass": None, "error": "not run: time is up"})
        else:
            judge(name, function, *arguments)
    for name, process in running.items():
        judge(f"stage {name}", ends_well, process, folder, name)
    judge("stage score_images", scores_alike, commands["score_images"], folder)


def judge(name: str, function, *arguments) -> None:
    """A row for one check, which fails where the function raises; what it returns is said too."""
    before, row = spent(), {"check": name, "pass": True}
    try:
        row |= function(*arguments) or {}
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        row |= {"pass": False, "error": f"{type(error).__name__} ({where.name}): {str(error)[:700]}"}
    say(row | {"seconds": round(spent() - before, 2)})


def batches_agree(folder: Path, device) -> dict:
    import numpy as np
    import torch

    from ganaug.classify.image_sets import Batches

    images, numbers = random_images(40, 256), np.array([3, 39, 0, 3])
    here, there = (Batches(images, 224, place) for place in (torch.device("cpu"), device))
    wanted, found = here.batch(numbers), there.batch(numbers)
    assert found.device.type == device.type, found.device
    torch.testing.assert_close(found.cpu(), wanted, rtol=0, atol=1e-5)
    held, there.held = there.held is not None, None
    assert torch.equal(there.batch(numbers), found), "read from the file, a batch is another"
    return {"held": held}


def classical_agrees(device) -> dict:
    import torch

    from ganaug.classify.augmentations import classical

    images, labels = torch.rand(16, 1, 224, 224, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 4
    made = []
    for place in (torch.device("cpu"), device):
        torch.manual_seed(1)
        made.append(classical(CLASSICAL, 4)(images.to(place), labels)[0].cpu())
    assert not torch.equal(made[0], images)
    torch.testing.assert_close(*made, rtol=0, atol=1e-3)
    return {"difference": float((made[0] - made[1]).abs().max())}


def features_agree(folder: Path, device, count: int) -> dict:
    import torch

    from ganaug.fidelity.extractors import extract, load_extractor

    images, name = random_images(count, 64).images, "tf_efficientnet_lite0"
    weights = random_weights(folder, name)
    made = [extract(load_extractor(name, weights, 64, place), images) for place in (torch.device("cpu"), device)]
    difference = float((made[0] - made[1]).abs().max() / made[0].abs().max())
    assert difference < 1e-3 and made[1].dtype == torch.float64 and made[1].device.type == "cpu", difference
    again = extract(load_extractor(name, weights, 64, device), images)
    assert torch.equal(again, made[1]), "features are others at the second time"
    return {"relative_difference": difference}


def samples_agree(device) -> dict:
    import numpy as np

    from ganaug.stylegan2.sampling import sample

    generator, labels = random_generator(32, 512, 32, 64), np.arange(20) % 4
    wanted = sample(generator, labels, 1.0, 5, batch=8)
    found = sample(generator.to(device), labels, 1.0, 5, batch=8)
    difference = np.abs(wanted.astype(int) - found.astype(int))
    assert difference.max() <= 1, difference.max()
    assert np.array_equal(found, sample(generator, labels, 1.0, 5, batch=8)), "images are others at the second time"
    return {"pixels_that_differ": float((difference > 0).mean())}


def lost_numbers_stop(folder: Path, device) -> None:
    import torch

    from ganaug.errors import NotFinite

    images = random_images(40, 64)
    trainer = make_trainer(folder, "resnet18", device, images, images, steps_per_epoch=100)
    trainer.step()
    with torch.no_grad():
        next(trainer.model.parameters()).fill_(torch.nan)
    try:
        trainer.step()
        trainer.check_finite()  # before a checkpoint
    except NotFinite as error:
        assert "loss is nan at step 2" in str(error), error
    else:
        raise AssertionError("the state was kept")


def trains(folder: Path, device, augmentation: str) -> dict:
    images = random_images(40, 64)
    trainer = make_trainer(folder, "resnet18", device, images, images, augmentation=augmentation)
    run_to(trainer, 6)
    history = trainer.take_best()
    assert len(history) == 2 and history.notna().all().all(), history
    return {"train_loss": [round(x, 4) for x in history["train_loss"]]}


def run_to(trainer, step: int) -> None:
    while trainer.done < step:
        trainer.step()
        if trainer.epoch_ends:
            trainer.end_epoch(trainer.validate())


def resumes(folder: Path, device, backbone: str, arithmetic: str) -> dict:
    import torch

    from ganaug.checkpoint import Checkpoints

    def new():
        images, validation = random_images(40, 64, 1), random_images(12, 64, 2)
        return make_trainer(folder, backbone, device, images, validation, arithmetic, "classical")

    undisturbed, killed, resumed = new(), new(), new()
    run_to(undisturbed, 6)
    run_to(killed, 4)  # in the midst of the second epoch
    killed.check_finite()
    checkpoints = Checkpoints(folder / "checkpoints" / f"{backbone}-{arithmetic}")
    checkpoints.save(killed.done, killed.state())
    resumed.load_state(checkpoints.load_newest(100))
    run_to(resumed, 6)
    run_to(killed, 6)
    for name, other in (("undisturbed, again", killed), ("resumed", resumed)):
        differ = [key for key, pair in pairs(undisturbed.state(), other.state()) if not torch.equal(*pair)]
        assert not differ, f"{name}: {len(differ)} tensors differ, the first is {differ[0]}"
        assert str(undisturbed.rows) == str(other.rows), f"{name}: {undisturbed.rows} and {other.rows}"
    return {"train_loss": [round(row["train_loss"], 4) for row in undisturbed.rows]}


def pairs(a, b, name: str = ""):
    """(name, (tensor, tensor)) of two states of the same form."""
    import torch

    if isinstance(a, torch.Tensor):
        yield name, (a.cpu(), b.cpu())
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), name
        for key in a:
            yield from pairs(a[key], b[key], f"{name}.{key}")
    elif isinstance(a, list):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from pairs(x, y, f"{name}.{i}")
