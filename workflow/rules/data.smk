# Raw images → manifest → splits → subsets and test set, and the check that nothing leaks between them.


# Seconds each: not worth a place in a cluster's queue.
localrules:
    make_splits,
    check_sizes,
    check_leaks,


if PHANTOM and workflow.storage_settings.default_storage_provider:

    # A folder that another machine has put into an S3 bucket is not seen by a driver that looked for it before.
    localrules:
        make_phantoms,


if PHANTOM:

    rule make_phantoms:
        output:
            folder=directory(f"{RESULTS}/data/phantoms"),
            provenance=f"{RESULTS}/data/phantoms.provenance.json",
        log:
            f"{RESULTS}/logs/make_phantoms.log",
        benchmark:
            f"{RESULTS}/benchmarks/make_phantoms.tsv"
        conda:
            "../../envs/ganaug.yaml"
        resources:
            mem_mb=mem_mb("make_phantoms"),
            runtime=runtime("make_phantoms"),
        params:
            code=code_of("make_phantoms"),
            settings=settings("make_phantoms"),
            seed=seed("make_phantoms"),
        shell:
            "python -m ganaug make_phantoms --settings {params.settings:q} --seed {params.seed}"
            " --out {output.folder} --provenance {output.provenance} --log {log}"


rule make_manifest:
    input:
        phantoms=f"{RESULTS}/data/phantoms" if PHANTOM else [],
        groups=of_the_user(SETTINGS["data"]["groups"], "data.groups"),
    output:
        manifest=f"{RESULTS}/data/manifest.csv",
        problems=f"{RESULTS}/data/problems.csv",
        distances=f"{RESULTS}/data/distances.csv",
        near_copies=f"{RESULTS}/data/near_copies.json",
        provenance=f"{RESULTS}/data/manifest.provenance.json",
    log:
        f"{RESULTS}/logs/make_manifest.log",
    benchmark:
        f"{RESULTS}/benchmarks/make_manifest.tsv"
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=mem_mb("make_manifest"),
        runtime=runtime("make_manifest"),
    params:
        code=code_of("make_manifest"),
        settings=settings("make_manifest"),
        root=data_root,
        groups=lambda wildcards, input: f"--groups {quote(input.groups)}" if input.groups else "",
        listing=LISTINGS.get("make_manifest", ""),
    shell:
        "python -m ganaug make_manifest --settings {params.settings:q} --data-root {params.root:q} {params.groups}"
        " --manifest {output.manifest} --problems {output.problems}"
        " --distances {output.distances} --near-copies {output.near_copies} --provenance {output.provenance} --log {log}"


rule make_splits:
    input:
        manifest=f"{RESULTS}/data/manifest.csv",
    output:
        splits=f"{RESULTS}/data/splits.csv",
        provenance=f"{RESULTS}/data/splits.provenance.json",
    log:
        f"{RESULTS}/logs/make_splits.log",
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=mem_mb("make_splits"),
        runtime=runtime("make_splits"),
    params:
        code=code_of("make_splits"),
        settings=settings("make_splits"),
        seed=seed("make_splits"),
    shell:
        "python -m ganaug make_splits --settings {params.settings:q} --seed {params.seed}"
        " --manifest {input.manifest} --splits {output.splits} --provenance {output.provenance} --log {log}"


rule check_sizes:
    input:
        splits=f"{RESULTS}/data/splits.csv",
    output:
        sizes=f"{RESULTS}/data/sizes.csv",
        provenance=f"{RESULTS}/data/sizes.provenance.json",
    log:
        f"{RESULTS}/logs/check_sizes.log",
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=mem_mb("check_sizes"),
        runtime=runtime("check_sizes"),
    params:
        code=code_of("check_sizes"),
        settings=settings("check_sizes"),
    shell:
        "python -m ganaug check_sizes --settings {params.settings:q} --splits {input.splits}"
        " --sizes {output.sizes} --provenance {output.provenance} --log {log}"


rule make_test_set:
    input:
        splits=f"{RESULTS}/data/splits.csv",
        phantoms=f"{RESULTS}/data/phantoms" if PHANTOM else [],
    output:
        images=f"{RESULTS}/data/test.npy",
        table=f"{RESULTS}/data/test.csv",
        provenance=f"{RESULTS}/data/test.provenance.json",
    log:
        f"{RESULTS}/logs/make_test_set.log",
    benchmark:
        f"{RESULTS}/benchmarks/make_test_set.tsv"
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=mem_mb("make_test_set"),
        runtime=runtime("make_test_set"),
    params:
        code=code_of("make_test_set"),
        settings=settings("make_test_set"),
        root=data_root,
    shell:
        "python -m ganaug make_test_set --settings {params.settings:q} --splits {input.splits}"
        " --data-root {params.root:q} --test-images {output.images} --test-table {output.table}"
        " --provenance {output.provenance} --log {log}"


rule make_subset:
    input:
        splits=f"{RESULTS}/data/splits.csv",
        # Waits for the check of all sizes, but another size does not make this subset anew. Of a job whose `ancient`
        # input is made anew Snakemake sees no other reason to run it, so that check_sizes goes first (driver.smk).
        sizes=ancient(f"{RESULTS}/data/sizes.csv"),
        phantoms=f"{RESULTS}/data/phantoms" if PHANTOM else [],
    output:
        train_images=f"{RESULTS}/subsets/{SUBSET}/train.npy",
        train_table=f"{RESULTS}/subsets/{SUBSET}/train.csv",
        validation_images=f"{RESULTS}/subsets/{SUBSET}/validation.npy",
        validation_table=f"{RESULTS}/subsets/{SUBSET}/validation.csv",
        provenance=f"{RESULTS}/subsets/{SUBSET}/provenance.json",
    log:
        f"{RESULTS}/logs/make_subset/{SUBSET}.log",
    benchmark:
        f"{RESULTS}/benchmarks/make_subset/{SUBSET}.tsv"
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=mem_mb("make_subset"),
        runtime=runtime("make_subset"),
    params:
        code=code_of("make_subset"),
        settings=settings("make_subset"),
        # Not of the size: a smaller size is a part of the larger one.
        seed=seed("make_subset"),
        root=data_root,
    shell:
        "python -m ganaug make_subset --settings {params.settings:q} --seed {params.seed}"
        " --splits {input.splits} --data-root {params.root:q}"
        " --train-images {output.train_images} --train-table {output.train_table}"
        " --validation-images {output.validation_images} --validation-table {output.validation_table}"
        " --provenance {output.provenance} --log {log}"


rule check_leaks:
    input:
        train_table=f"{RESULTS}/subsets/{SUBSET}/train.csv",
        validation_table=f"{RESULTS}/subsets/{SUBSET}/validation.csv",
        test_table=f"{RESULTS}/data/test.csv",
        manifest=f"{RESULTS}/data/manifest.csv",
        near_copies=f"{RESULTS}/data/near_copies.json",
    output:
        report=f"{RESULTS}/subsets/{SUBSET}/leaks.json",
        provenance=f"{RESULTS}/subsets/{SUBSET}/leaks.provenance.json",
    log:
        f"{RESULTS}/logs/check_leaks/{SUBSET}.log",
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=mem_mb("check_leaks"),
        runtime=runtime("check_leaks"),
    params:
        code=code_of("check_leaks"),
    shell:
        "python -m ganaug check_leaks --train-table {input.train_table} --validation-table {input.validation_table}"
        " --test-table {input.test_table} --manifest {input.manifest} --near-copies {input.near_copies}"
        " --report {output.report} --provenance {output.provenance} --log {log}"
