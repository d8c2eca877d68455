# Labelled images from elsewhere, scored by every classifier of the study.

if EXTERNAL:
    EXTERNAL_ROOT = os.path.expanduser(EXTERNAL["data_root"])

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
            mem_mb=mem_mb("make_external_set"),
            runtime=runtime("make_external_set"),
        params:
            code=code_of("make_external_set"),
            settings=settings("make_external_set"),
            root=lambda wildcards: EXTERNAL_ROOT,  # in a plain string Snakemake would expand braces
            listing=LISTINGS.get("make_external_set", ""),
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
        threads: threads_of(STUDY, "score_external")
        resources:
            gpu=gpus_of(STUDY, "score_external"),
            mem_mb=mem_mb("score_external"),
            runtime=runtime("score_external"),
        params:
            code=code_of("score_external"),
            settings=settings("score_external"),
            threads=SETTINGS["threads"]["classifier"],
            device=SETTINGS["device"],
        shell:
            "python -m ganaug score_images --settings {params.settings:q} --threads {params.threads}"
            " --device {params.device} --model {input.model}"
            " --images {input.images} --table {input.table} --predictions {output.predictions}"
            " --provenance {output.provenance} --log {log}"
