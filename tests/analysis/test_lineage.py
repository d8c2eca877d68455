"""What made every result, by its provenance, beside what the study asks for: what was planted is found and named."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ganaug.analysis import lineage
from ganaug.cli import main
from ganaug.errors import UserError
from ganaug.files import read_json, sha256_of, write_json
from ganaug.imports import digest_of_stage

CELLS = ["none", "gan", "gan@0.5", "synthetic-only", "border-only"]


def asked(study, rule, folder, inputs, outputs, given=(), **settings):
    """Adds what is asked for of a job to the study's list, and the provenance of just that job, hashes being words.

    inputs: paths or, where the job waits for a file that it does not read, their names with a `-` before.
    """
    name = "provenance.json" if "/" in folder else f"{folder}.provenance.json"
    place = folder if "/" in folder else "data"
    job = {"rule": rule, "name": f"{rule} {folder}", "provenance": f"{place}/{name}", "seed": 12}
    job |= {"inputs": [path.lstrip("-") for path in inputs], "outputs": [f"{place}/{end}" for end in [*outputs, name]]}
    job |= {"settings": settings, "code": f"code of {rule}", "given": [str(path) for path in given]}
    study["jobs"].append(job)
    root = study["root"]
    read = {str(root / path): f"hash of {path}" for path in inputs if path[0] != "-"}
    read |= {str(path): sha256_of(path) for path in given} | {"/data/images": "folder"}
    record = {"settings": settings, "seed": job["seed"], "code": job["code"], "inputs": read}
    record["outputs"] = {str(root / path): f"hash of {path}" for path in job["outputs"][:-1]}
    write_json(root / job["provenance"], record)


@pytest.fixture
def study(tmp_path):
    """root, jobs: a finished study's provenance as the stages write it, and what is asked for."""
    study = {"root": tmp_path / "results/s", "jobs": []}
    groups = tmp_path / "groups.csv"
    groups.write_text("file,group\n")
    asked(study, "make_manifest", "manifest", [], ["manifest.csv"], [groups], classes=None)
    asked(study, "make_splits", "splits", ["data/manifest.csv"], ["splits.csv"], test_share=0.2)
    asked(study, "make_test_set", "test", ["data/splits.csv"], ["test.npy", "test.csv"])
    asked(study, "prepare_weights", "weights/net", [], ["net.safetensors"], backbone="net")
    test = ["data/test.npy", "data/test.csv"]
    for r in (1, 2):
        place = f"size-5/replicate-{r}"
        sides = [f"{side}.{kind}" for side in ("train", "validation") for kind in ("npy", "csv")]
        asked(study, "make_subset", f"subsets/{place}", ["data/splits.csv", "-data/sizes.csv"], sides, size=5)
        subset = [f"subsets/{place}/{side}" for side in sides]
        leaks = f"-subsets/{place}/leaks.json"
        asked(study, "train_gan", f"gan/{place}", [*subset[:2], leaks], ["generator.safetensors"], kimg=2, batch=8)
        for at in ("", "/ratio-0.5"):
            read = [f"gan/{place}/generator.safetensors", subset[1]]
            asked(study, "sample_gan", f"synthetic/{place}{at}", read, ["images.npy", "images.csv"], ratio=1)
        for name in CELLS:
            synthetic = f"synthetic/{place}{'/ratio-0.5' if '@' in name else ''}/images"
            extra = [f"{synthetic}.npy", f"{synthetic}.csv"] if name not in ("none", "border-only") else []
            read = [*subset, *test, *extra, "weights/net/net.safetensors", leaks]
            asked(study, "train_classifier", f"cells/{name}/{place}/net", read, ["predictions.csv"], epochs=2)
    return study


def change(study, path, **changes):
    """Another content of a provenance, at the top or, by the end of its path, of an input; None takes it out."""
    file = next(file for end in ("/", ".") if (file := study["root"] / f"{path}{end}provenance.json").is_file())
    content = read_json(file)
    for key, value in changes.items():
        names = [name for name in content["inputs"] if name.endswith(key.replace("_", "."))]
        place, name = (content["inputs"], names[0]) if names else (content, key)
        place[name] = value
        if value is None:
            del place[name]
    write_json(file, content)


def run(study):
    asked = study["root"].parent / "asked.json"
    write_json(asked, {"jobs": study["jobs"]})
    report = study["root"] / "cells/lineage.json"
    return main(
        ["check_lineage", "--results", str(study["root"]), "--asked", str(asked), "--report", str(report)]
    ), report


def told(study, capsys):
    """What a refused study is told."""
    status, report = run(study)
    assert status == 1 and not report.exists()
    return capsys.readouterr().err


def test_a_clean_study_passes_with_all_counted(study):
    status, report = run(study)
    assert status == 0
    once = dict.fromkeys(["make_manifest", "make_splits", "make_test_set", "prepare_weights"], 1)
    compared = once | {"make_subset": 2, "train_gan": 2, "sample_gan": 4, "train_classifier": 10}
    assert json.loads(report.read_text()) == {
        **{"asked": "asked", "compared": compared},
        "results": lineage.digest_of([lineage.read_provenance(study["root"], job) for job in study["jobs"]]),
    }


def test_where_a_job_saw_its_files_does_not_matter(study):
    """As where the others' local copies lay elsewhere."""
    for file in study["root"].glob("gan/**/provenance.json"):
        before = str(study["root"].parent.parent)
        file.write_text(file.read_text().replace(before, "/workdir/.snakemake/storage/s3/bucket"))
    assert run(study)[0] == 0


def test_another_machine_device_and_number_of_threads_do_not_matter(study):
    cell = "cells/none/size-5/replicate-1/net"
    change(study, cell, threads=8, machine={"cpu": "another", "device": "NVIDIA H100"}, git_commit="another")
    assert run(study)[0] == 0


@pytest.mark.parametrize(
    ("place", "digests", "file"),
    [
        ("gan/size-5/replicate-2", {"train_csv": "other"}, "train.csv"),
        ("gan/size-5/replicate-1", {"train_npy": "other"}, "train.npy"),
        ("synthetic/size-5/replicate-1", {"generator_safetensors": "other"}, "generator.safetensors"),
        ("cells/none/size-5/replicate-1/net", {"train_npy": "other"}, "train.npy"),
        ("cells/none/size-5/replicate-1/net", {"test_csv": "other"}, "test.csv"),
        ("cells/gan/size-5/replicate-2/net", {"images_npy": "other"}, "images.npy"),
        ("cells/gan@0.5/size-5/replicate-2/net", {"images_csv": None}, "images.csv"),
        ("cells/border-only/size-5/replicate-1/net", {"validation_npy": "other"}, "validation.npy"),
        ("cells/none/size-5/replicate-1/net", {"net_safetensors": "other"}, "net.safetensors"),
        ("subsets/size-5/replicate-1", {"splits_csv": "other"}, "splits.csv"),
    ],
)
def test_what_was_made_from_something_else_is_named(study, place, digests, file, capsys):
    change(study, place, **digests)
    (line,) = (line for line in told(study, capsys).splitlines() if "read" in line)
    assert place in line and line.endswith(file)
    assert "did not read" in line if None in digests.values() else "read another" in line


def test_a_gan_that_read_the_test_images_is_named(study, capsys):
    file = study["root"] / "gan/size-5/replicate-1/provenance.json"
    content = read_json(file)
    content["inputs"][str(study["root"] / "data/test.npy")] = "hash of data/test.npy"
    write_json(file, content)
    assert "train_gan gan/size-5/replicate-1: read another data/test.npy" in told(study, capsys)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": {"epochs": 3}}, "epochs is 3, asked for is 2"),
        ({"settings": {"epochs": 2, "batch": 4}}, "batch is 4, asked for is nothing"),
        ({"settings": {}}, "epochs is nothing, asked for is 2"),
        ({"settings": {"epochs": None}}, "epochs is null, asked for is 2"),
        ({"seed": 77}, "seed is 77, asked for is 12"),
        ({"code": "of before"}, "the code is another"),
        ({"code": "of before", "seed": 77}, "seed is 77, asked for is 12; the code is another"),
        ({"code": None}, "the code is not known"),
    ],
)
def test_one_cell_of_other_settings_seed_or_code_is_named_with_the_command(study, changes, words, capsys):
    cell = "cells/gan/size-5/replicate-1/net"
    change(study, cell, **changes)
    said = told(study, capsys)
    assert f"  train_classifier {cell}: {words}\n" in said and said.count("train_classifier") == 1
    assert f"  --forcerun {study['root'] / cell}/provenance.json\n" in said
    assert ("can't be checked, and must be made anew" in said) == (changes == {"code": None})


def test_where_all_of_a_rule_differ_the_command_names_the_rule(study, capsys):
    for job in study["jobs"]:
        if job["rule"] == "train_classifier":
            job["settings"] = {"epochs": 3}
    said = told(study, capsys)
    assert said.count("epochs is 2, asked for is 3") == 10 and "  --forcerun train_classifier\n" in said


def test_a_long_list_of_files_is_written_down(study, capsys, monkeypatch):
    monkeypatch.setattr("ganaug.analysis.lineage.ON_A_LINE", 5)
    cells = [job for job in study["jobs"] if job["rule"] == "train_classifier"][:6]
    for job in cells:
        job["seed"] += 1
    listed = study["root"] / "cells/to_make_anew.txt"
    assert f"  --forcerun $(cat {listed})\n" in told(study, capsys)
    assert listed.read_text().split() == [str(study["root"] / job["provenance"]) for job in cells]
    for job in cells:
        job["seed"] -= 1
    assert run(study)[0] == 0 and not listed.exists()


def test_a_file_of_the_users_that_has_changed_is_named(study, tmp_path, capsys):
    groups = tmp_path / "groups.csv"
    moved = groups.rename(tmp_path / "patients.csv")
    study["jobs"][0]["given"] = [str(moved)]
    assert run(study)[0] == 0  # the same table in another place
    (study["root"] / "cells/lineage.json").unlink()
    moved.write_text("file,group\na.png,1\n")
    assert f"make_manifest manifest: read another {groups}, {moved}" in told(study, capsys).replace(
        f"; read another {moved}", f", {moved}"
    )
    study["jobs"][0]["given"] = []
    assert f"make_manifest manifest: read another {groups}\n" in told(study, capsys)


def test_another_listing_of_the_images_is_named(study, capsys):
    """As where images came, went or were replaced, or where data_root names another folder."""
    study["jobs"][0]["listing"] = "of now"
    change(study, "data/manifest", listing="of now")
    assert run(study)[0] == 0
    (study["root"] / "cells/lineage.json").unlink()
    change(study, "data/manifest", listing="of then")
    said = told(study, capsys)
    assert "  make_manifest manifest: the images of its data root are others than it read\n" in said
    assert "  --forcerun make_manifest\n" in said
    change(study, "data/manifest", listing=None)
    assert "  make_manifest manifest: the images are not known\n" in told(study, capsys)


def test_weights_of_a_file_of_the_users_are_of_the_study_until_the_file_changes(study, tmp_path, capsys):
    """By the provenance that the stage itself writes."""
    file, root = tmp_path / "r18.safetensors", study["root"]
    save_file({"a": torch.arange(3.0)}, file)
    settings = {"backbone": "resnet18", "source": str(file), "sha256": None}
    asked(study, "prepare_weights", "weights/r18", [], ["r18.safetensors"], [file], **settings)
    job = study["jobs"][-1]
    job |= {"seed": None, "code": digest_of_stage("prepare_weights")}
    written = ["--weights", str(root / job["outputs"][0]), "--provenance", str(root / job["provenance"])]
    assert main(["prepare_weights", "--settings", json.dumps(settings), "--file", str(file), *written]) == 0
    assert run(study)[0] == 0
    (root / "cells/lineage.json").unlink()
    save_file({"a": torch.arange(4.0)}, file)
    assert f"prepare_weights weights/r18: read another {file}" in told(study, capsys)


def test_a_table_that_its_job_did_not_write_is_named(study, capsys):
    """As one that somebody has edited, or copied from another cell."""
    cells = [f"cells/{name}/size-5/replicate-1/net" for name in ("none", "gan")]
    for number, cell in enumerate(cells):
        table = study["root"] / cell / "predictions.csv"
        table.write_text(f"file,label\n{number}.png,1\n")
        change(study, cell, outputs={str(table): sha256_of(table)})
    assert run(study)[0] == 0
    (study["root"] / "cells/lineage.json").unlink()
    shutil.copyfile(study["root"] / cells[1] / "predictions.csv", study["root"] / cells[0] / "predictions.csv")
    said = told(study, capsys)
    assert f"  train_classifier {cells[0]}: {cells[0]}/predictions.csv is not what the job wrote\n" in said
    assert f"  --forcerun {study['root'] / cells[0]}/provenance.json\n" in said and said.count("is not what") == 1


def test_a_check_that_its_job_did_not_write_is_named(study, capsys):
    """As one of another split that was copied."""
    subset, root = "subsets/size-5/replicate-1", study["root"]
    tables = [f"{subset}/train.csv", f"{subset}/validation.csv", "data/test.csv"]
    asked(study, "check_leaks", subset.replace("subsets", "leaks"), tables, ["leaks.json"])
    job = study["jobs"][-1]
    report = root / job["outputs"][0]
    write_json(report, {"images": {"test": 3}})
    change(study, Path(job["provenance"]).parent, outputs={str(report): sha256_of(report)})
    assert run(study)[0] == 0
    (root / "cells/lineage.json").unlink()
    write_json(report, {"images": {"test": 4}})
    assert f"  {job['name']}: {job['outputs'][0]} is not what the job wrote\n" in told(study, capsys)


def test_a_study_that_was_renamed_with_its_folder_is_the_same(study, capsys):
    study["root"] = study["root"].rename(study["root"].with_name("other"))
    assert run(study)[0] == 0
    (study["root"] / "cells/lineage.json").unlink()
    change(study, "gan/size-5/replicate-1", train_npy="other")
    assert "train_gan gan/size-5/replicate-1: read another subsets/size-5/replicate-1/train.npy" in told(study, capsys)


def test_results_that_a_user_has_accepted_of_other_code_are_of_the_study(study, capsys):
    cell = "cells/gan/size-5/replicate-1/net"
    change(study, cell, code="of before", accepted_for="code of train_classifier")
    assert run(study)[0] == 0
    (study["root"] / "cells/lineage.json").unlink()
    change(study, cell, accepted_for="of between")  # the code has changed again
    assert "the code is another" in told(study, capsys)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": 1, "seed": 1, "inputs": {}, "outputs": {}}'])
def test_a_provenance_that_is_none_is_named(study, content, capsys):
    file = study["root"] / "gan/size-5/replicate-1/provenance.json"
    file.write_text(content)
    said = told(study, capsys)
    assert f"{file} is no provenance" in said and "delete the file" in said and "Traceback" not in said
    file.unlink()
    assert f"{file}: missing" in told(study, capsys)


def test_of_an_incomplete_study_what_is_missing_is_not_compared(study, tmp_path):
    cell = "cells/gan/size-5/replicate-1/net"
    change(study, cell, seed=77)
    job = {"rule": "train_classifier", "outputs": [str(study["root"] / cell / "provenance.json")]}
    write_json(tmp_path / "unfinished.json", {"unfinished": {"jobs": [job], "classifiers": [9, 10]}})
    write_json(tmp_path / "asked.json", {"jobs": study["jobs"]})
    command = ["check_lineage", "--results", str(study["root"]), "--asked", str(tmp_path / "asked.json")]
    assert main([*command, "--report", str(tmp_path / "a.json")]) == 1
    assert (
        main([*command, "--report", str(tmp_path / "b.json"), "--unfinished", str(tmp_path / "unfinished.json")]) == 0
    )
    assert read_json(tmp_path / "b.json")["compared"]["train_classifier"] == 9


@pytest.fixture
def analysed(study):
    """The study with the check and the tables after it, as the workflow asks for them."""
    assert run(study)[0] == 0
    root, jobs = study["root"], []
    check = {"root": root, "jobs": jobs}
    asked(check, "check_lineage", "cells/check", [], [], [root.parent / "asked.json"])
    asked(check, "make_tables", "tables/all", ["cells/lineage.json"], ["summary.csv"], confidence=0.95)
    report = root / "cells/lineage.json"
    change(check, "cells/check", outputs={str(report): sha256_of(report)})
    change(check, "tables/all", lineage_json=sha256_of(report))
    study["jobs"] += jobs
    return study


def test_tables_of_what_lies_there_are_of_the_study(analysed):
    lineage.refuse_others(analysed["jobs"], analysed["root"])


def other_results(study):
    """Copied from the same study on another machine: all is as asked for but the bytes."""
    outputs = {str(study["root"] / "cells/none/size-5/replicate-1/net/predictions.csv"): "hash of other predictions"}
    change(study, "cells/none/size-5/replicate-1/net", outputs=outputs)


def a_cell_less(study):
    study["jobs"] = [job for job in study["jobs"] if "border-only/size-5/replicate-2" not in job["provenance"]]


def another_study(study):
    asked = study["root"].parent / "asked.json"
    study["jobs"][-2]["given"] = [str(asked.rename(asked.with_name("more.json")))]


@pytest.mark.parametrize("planted", [other_results, a_cell_less, another_study])
def test_a_check_of_other_results_is_named(analysed, planted):
    planted(analysed)
    with pytest.raises(UserError, match="check_lineage cells/check: is of other results than the study's") as refused:
        lineage.refuse_others(analysed["jobs"], analysed["root"])
    assert "--forcerun check_lineage\n" in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": {"confidence": 0.9}}, "confidence is 0.9, asked for is 0.95"),
        ({"lineage.json": "of other results"}, "read another cells/lineage.json"),
        ({"code": "of before"}, "the code is another"),
    ],
)
def test_tables_of_other_settings_or_results_are_named(analysed, changes, words):
    change(analysed, "tables/all", **changes)
    with pytest.raises(UserError, match=f"make_tables tables/all: {words}\n") as refused:
        lineage.refuse_others(analysed["jobs"], analysed["root"])
    assert "--forcerun make_tables\n" in str(refused.value)
