# Labelled images from elsewhere, scored by every classifier of the study.

if EXTERNAL:
    EXTERNAL_ROOT = os.path.expanduser(EXTERNAL["data_root"])
    try:
        EXTERNAL_LISTING = listing(
            EXTERNAL_ROOT, EXTERNAL["source"], None, EXTERNAL["follow_links"], known=DATA["classes"] or ()
        )
    except UserError as error:
        raise WorkflowError(f"external_test: {error}") from None

    rule make_external_set:
        input:
            manifest=f"{RESULTS}/data/manifest.csv",
            near_copies=f"{RESULTS}/data/near_copies.json",
        output:
            images=f"{RESULTS}/external/images.npy",
            table=f"{RESULTS}/external/images.csv",
            problems=f"{RESULTS}/external/problems.csv",
            left_out=f"{RESULTS}/external/left_out.csv",
            provenance=f"{RESULTS}/external/provenance.json",
        log:
            f"{RESULTS}/logs/make_external_set.log",
        conda:
            "../../envs/ganaug.yaml"
        resources:
            mem_mb=scaled(set_mb),
            runtime=scaled(120),
        params:
            code=code("make_external_set"),
            settings=settings(
                *("data.classes", "data.resolution", "data.max_bad_share", "data.not_films"),
                source=lambda _: EXTERNAL["source"],
                follow_links=lambda _: EXTERNAL["follow_links"],
            ),
            root=constant(EXTERNAL_ROOT),
            listing=EXTERNAL_LISTING,
        shell:
            "python -m ganaug make_external_set --settings {params.settings:q} --data-root {params.root:q}"
            " --manifest {input.manifest} --near-copies {input.near_copies} --images {output.images}"
            " --table {output.table} --problems {output.problems} --left-out {output.left_out}"
            " --provenance {output.provenance} --log {log}"

    rule score_external:
        input:
            model=f"{RESULTS}/cells/{CELL}/model.safetensors",
            images=f"{RESULTS}/external/images.npy",
            table=f"{RESULTS}/external/images.csv",
        output:
            predictions=f"{RESULTS}/external/{CELL}/predictions.csv",
            provenance=f"{RESULTS}/external/{CELL}/provenance.json",
        log:
            f"{RESULTS}/logs/score_external/{CELL}.log",
        conda:
            "../../envs/ganaug.yaml"
        threads: STUDY["threads"]["classifier"]
        resources:
            gpu=GPU,
            mem_mb=scaled(largest_mb),
            runtime=scaled(minutes("score_external", STUDY["threads"]["classifier"], STUDY["sizes"][-1])),
        params:
            code=code("score_images"),
            settings=settings("classifier.precision", "classifier.tf32", "classifier.cudnn_benchmark"),
            threads=STUDY["threads"]["classifier"],
            device=STUDY["device"],
        shell:
            "python -m ganaug score_images --settings {params.settings:q} --threads {params.threads}"
            " --device {params.device} --model {input.model}"
            " --images {input.images} --table {input.table} --predictions {output.predictions}"
            " --provenance {output.provenance} --log {log}"
