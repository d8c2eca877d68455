# One StyleGAN2-ADA per (size, replicate): training, sampling, fidelity.


# Seconds each: not worth a place in a cluster's queue.
localrules:
    check_init_from,
    check_synthetic,


rule check_init_from:
    input:
        initial=of_the_user(SETTINGS["gan"]["init_from"], "gan.init_from"),
    output:
        report=f"{RESULTS}/gan/init_from.json",
    log:
        f"{RESULTS}/logs/check_init_from.log",
    priority: 100
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=mem_mb("check_init_from"),
        runtime=runtime("check_init_from"),
    params:
        code=code_of("check_init_from"),  # as in check_backbone
        settings=settings("check_init_from"),
    shell:
        "python -m ganaug check_init_from --settings {params.settings:q} --init-from {input.initial:q}"
        " --report {output.report} --log {log}"


rule train_gan:
    input:
        fits=f"{RESULTS}/gan/init_from.json" if SETTINGS["gan"]["init_from"] else [],
        leaks=f"{RESULTS}/subsets/{SUBSET}/leaks.json",
        images=f"{RESULTS}/subsets/{SUBSET}/train.npy",
        table=f"{RESULTS}/subsets/{SUBSET}/train.csv",
        initial=of_the_user(SETTINGS["gan"]["init_from"], "gan.init_from"),
    output:
        generator=f"{RESULTS}/gan/{SUBSET}/generator.safetensors",
        training_log=f"{RESULTS}/gan/{SUBSET}/training.csv",
        snapshots=f"{RESULTS}/gan/{SUBSET}/snapshots.npy",
        snapshot_table=f"{RESULTS}/gan/{SUBSET}/snapshots.csv",
        provenance=f"{RESULTS}/gan/{SUBSET}/provenance.json",
    log:
        f"{RESULTS}/logs/train_gan/{SUBSET}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_gan/{SUBSET}.tsv"
    priority: 10  # the longest jobs first, so that they do not come last and alone
    retries: SLOTS
    conda:
        "../../envs/ganaug.yaml"
    threads: threads_of(STUDY, "train_gan")
    resources:
        gpu=gpus_of(STUDY, "train_gan"),
        mem_mb=mem_mb("train_gan"),
        runtime=runtime("train_gan"),
        # No param: it decides nothing of the outputs, and a change reruns nothing.
        checkpoint_seconds=SETTINGS["gan"]["checkpoint_seconds"],
    params:
        code=code_of("train_gan"),
        launcher=launcher(),
        settings=settings("train_gan"),
        initial=lambda wildcards, input: f"--init-from {quote(input.initial)}" if input.initial else "",
        seed=seed("train_gan"),
        threads=SETTINGS["threads"]["gan"],
        device=SETTINGS["device"],
        # Not an output: what a killed training has reached must outlive it.
        checkpoints=f"{RESULTS}/checkpoints/gan/{SUBSET}",
    shell:
        "{params.launcher} ganaug train_gan --settings {params.settings:q} --seed {params.seed} --threads {params.threads}"
        " --device {params.device} --images {input.images} --table {input.table} --generator {output.generator}"
        " {params.initial} --training-log {output.training_log} --snapshots {output.snapshots}"
        " --snapshot-table {output.snapshot_table} --checkpoints {params.checkpoints}"
        " --checkpoint-seconds {resources.checkpoint_seconds}"
        " --provenance {output.provenance} --log {log}"


rule sample_gan:
    input:
        generator=f"{RESULTS}/gan/{SUBSET}/generator.safetensors",
        table=f"{RESULTS}/subsets/{SUBSET}/train.csv",
    output:
        images=f"{RESULTS}/synthetic/{SUBSET}{{at}}/images.npy",
        table=f"{RESULTS}/synthetic/{SUBSET}{{at}}/images.csv",
        provenance=f"{RESULTS}/synthetic/{SUBSET}{{at}}/provenance.json",
    log:
        f"{RESULTS}/logs/sample_gan/{SUBSET}{{at}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sample_gan/{SUBSET}{{at}}.tsv"
    priority: 10
    conda:
        "../../envs/ganaug.yaml"
    threads: threads_of(STUDY, "sample_gan")
    resources:
        gpu=gpus_of(STUDY, "sample_gan"),
        mem_mb=mem_mb("sample_gan"),
        runtime=runtime("sample_gan"),
    params:
        code=code_of("sample_gan"),
        settings=settings("sample_gan"),
        seed=seed("sample_gan"),
        threads=SETTINGS["threads"]["gan"],
        device=SETTINGS["device"],
    shell:
        "python -m ganaug sample_gan --settings {params.settings:q} --seed {params.seed} --threads {params.threads}"
        " --device {params.device} --generator {input.generator} --table {input.table}"
        " --images {output.images} --synthetic-table {output.table}"
        " --provenance {output.provenance} --log {log}"


rule check_synthetic:
    input:
        gan=f"{RESULTS}/gan/{SUBSET}/provenance.json",
        images=f"{RESULTS}/synthetic/{SUBSET}{{at}}/images.npy",
        train_images=f"{RESULTS}/subsets/{SUBSET}/train.npy",
        train_table=f"{RESULTS}/subsets/{SUBSET}/train.csv",
        validation_images=f"{RESULTS}/subsets/{SUBSET}/validation.npy",
        validation_table=f"{RESULTS}/subsets/{SUBSET}/validation.csv",
        test_images=f"{RESULTS}/data/test.npy",
        test_table=f"{RESULTS}/data/test.csv",
    output:
        report=f"{RESULTS}/synthetic/{SUBSET}{{at}}/check.json",
        provenance=f"{RESULTS}/synthetic/{SUBSET}{{at}}/check.provenance.json",
    log:
        f"{RESULTS}/logs/check_synthetic/{SUBSET}{{at}}.log",
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=mem_mb("check_synthetic"),
        runtime=runtime("check_synthetic"),
    params:
        code=code_of("check_synthetic"),
    shell:
        "python -m ganaug check_synthetic --gan-provenance {input.gan} --synthetic-images {input.images}"
        " --train-images {input.train_images} --train-table {input.train_table}"
        " --validation-images {input.validation_images} --validation-table {input.validation_table}"
        " --test-images {input.test_images} --test-table {input.test_table} --report {output.report}"
        " --provenance {output.provenance} --log {log}"


rule check_extractor:
    input:
        weights=f"{RESULTS}/weights/{STUDY.extractor}.safetensors",
    output:
        report=f"{RESULTS}/fidelity/extractor.json",
    log:
        f"{RESULTS}/logs/check_extractor.log",
    priority: 100
    conda:
        "../../envs/ganaug.yaml"
    threads: threads_of(STUDY, "check_extractor")
    resources:
        gpu=gpus_of(STUDY, "check_extractor"),
        mem_mb=mem_mb("check_extractor"),
        runtime=runtime("check_extractor"),
    params:
        code=code_of("check_extractor"),  # as in check_backbone
        settings=settings("check_extractor"),
        threads=SETTINGS["threads"]["fidelity"],
        device=SETTINGS["device"],
    shell:
        "python -m ganaug check_extractor --settings {params.settings:q} --threads {params.threads}"
        " --device {params.device} --weights {input.weights} --report {output.report} --log {log}"


rule measure_fidelity:
    input:
        extractor=f"{RESULTS}/fidelity/extractor.json",
        weights=f"{RESULTS}/weights/{STUDY.extractor}.safetensors",
        real_images=f"{RESULTS}/subsets/{SUBSET}/train.npy",
        real_table=f"{RESULTS}/subsets/{SUBSET}/train.csv",
        synthetic_images=f"{RESULTS}/synthetic/{SUBSET}/images.npy",
        synthetic_table=f"{RESULTS}/synthetic/{SUBSET}/images.csv",
        check=f"{RESULTS}/synthetic/{SUBSET}/check.json",
        held_out_images=f"{RESULTS}/data/test.npy",
        held_out_table=f"{RESULTS}/data/test.csv",
        snapshots=f"{RESULTS}/gan/{SUBSET}/snapshots.npy",
        snapshot_table=f"{RESULTS}/gan/{SUBSET}/snapshots.csv",
    output:
        fidelity=f"{RESULTS}/fidelity/{SUBSET}/fidelity.csv",
        curve=f"{RESULTS}/fidelity/{SUBSET}/curve.csv",
        memorisation=f"{RESULTS}/fidelity/{SUBSET}/memorisation.csv",
        closest=f"{RESULTS}/fidelity/{SUBSET}/closest.csv",
        provenance=f"{RESULTS}/fidelity/{SUBSET}/provenance.json",
    log:
        f"{RESULTS}/logs/measure_fidelity/{SUBSET}.log",
    benchmark:
        f"{RESULTS}/benchmarks/measure_fidelity/{SUBSET}.tsv"
    conda:
        "../../envs/ganaug.yaml"
    threads: threads_of(STUDY, "measure_fidelity")
    resources:
        gpu=gpus_of(STUDY, "measure_fidelity"),
        mem_mb=mem_mb("measure_fidelity"),
        runtime=runtime("measure_fidelity"),
    params:
        code=code_of("measure_fidelity"),
        settings=settings("measure_fidelity"),
        seed=seed("measure_fidelity"),
        threads=SETTINGS["threads"]["fidelity"],
        device=SETTINGS["device"],
    shell:
        "python -m ganaug measure_fidelity --settings {params.settings:q} --seed {params.seed}"
        " --threads {params.threads} --device {params.device} --weights {input.weights}"
        " --real-images {input.real_images} --real-table {input.real_table}"
        " --synthetic-images {input.synthetic_images} --synthetic-table {input.synthetic_table}"
        " --held-out-images {input.held_out_images} --held-out-table {input.held_out_table}"
        " --snapshots {input.snapshots} --snapshot-table {input.snapshot_table}"
        " --fidelity {output.fidelity} --curve {output.curve} --memorisation {output.memorisation}"
        " --closest {output.closest} --provenance {output.provenance} --log {log}"
