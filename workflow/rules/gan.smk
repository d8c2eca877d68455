# One StyleGAN2-ADA per (size, replicate): training, sampling, fidelity.


# Seconds each: not worth a place in a cluster's queue.
localrules:
    check_init_from,
    check_synthetic,


rule check_init_from:
    input:
        initial=of_the_user(STUDY["gan"]["init_from"], "gan.init_from"),
    output:
        report=f"{RESULTS}/gan/init_from.json",
    log:
        f"{RESULTS}/logs/check_init_from.log",
    priority: 100
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=scaled(PROCESS_MB),
        runtime=scaled(30),
    params:
        code=code("train_gan"),  # as in check_backbone
        settings=settings(
            "data.resolution",
            *(f"gan.{name}" for name in ("latent", "mapping_layers", "channel_base", "channel_max")),
            classes=lambda _: len(DATA["classes"] or [1, 2]),
        ),
    shell:
        "python -m ganaug check_init_from --settings {params.settings:q} --init-from {input.initial:q}"
        " --report {output.report} --log {log}"


rule train_gan:
    input:
        fits=f"{RESULTS}/gan/init_from.json" if STUDY["gan"]["init_from"] else [],
        leaks=f"{RESULTS}/subsets/{SUBSET}/leaks.json",
        images=f"{RESULTS}/subsets/{SUBSET}/train.npy",
        table=f"{RESULTS}/subsets/{SUBSET}/train.csv",
        initial=of_the_user(STUDY["gan"]["init_from"], "gan.init_from"),
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
    threads: SHARES * STUDY["threads"]["gan"]
    resources:
        gpu=SHARES * GPU,
        mem_mb=scaled_but_for_slots(gan_mb, f"{RESULTS}/logs/train_gan/{SUBSET}.log"),
        runtime=slot(minutes("train_gan", SHARES * STUDY["threads"]["gan"])),
        # No param: it decides nothing of the outputs, and a change reruns nothing.
        checkpoint_seconds=STUDY["gan"]["checkpoint_seconds"],
    params:
        code=code("train_gan"),
        launcher=launcher(),
        settings=settings("gan", without=["init_from", "gpus", "checkpoint_seconds"]),
        initial=lambda wildcards, input: f"--init-from {quote(input.initial)}" if input.initial else "",
        seed=seed("gan", "size", "replicate"),
        threads=STUDY["threads"]["gan"],
        device=STUDY["device"],
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
    threads: STUDY["threads"]["gan"]
    resources:
        gpu=GPU,
        mem_mb=scaled(packed_mb),
        runtime=scaled(minutes("sample_gan", STUDY["threads"]["gan"])),
    params:
        code=code("sample_gan"),
        settings=settings("synthetic.truncation_psi", ratio=ratio_of),
        seed=seed("synthetic", "size", "replicate"),
        threads=STUDY["threads"]["gan"],
        device=STUDY["device"],
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
        mem_mb=scaled(set_mb),
        runtime=scaled(30),
    params:
        code=code("check_synthetic"),
    shell:
        "python -m ganaug check_synthetic --gan-provenance {input.gan} --synthetic-images {input.images}"
        " --train-images {input.train_images} --train-table {input.train_table}"
        " --validation-images {input.validation_images} --validation-table {input.validation_table}"
        " --test-images {input.test_images} --test-table {input.test_table} --report {output.report}"
        " --provenance {output.provenance} --log {log}"


rule check_extractor:
    input:
        weights=f"{RESULTS}/weights/{EXTRACTOR}.safetensors",
    output:
        report=f"{RESULTS}/fidelity/extractor.json",
    log:
        f"{RESULTS}/logs/check_extractor.log",
    priority: 100
    conda:
        "../../envs/ganaug.yaml"
    threads: STUDY["threads"]["fidelity"]
    resources:
        gpu=GPU,
        mem_mb=scaled(PROCESS_MB),
        runtime=scaled(30),
    params:
        code=code("measure_fidelity"),  # as in check_backbone
        settings=settings("fidelity.extractor", "fidelity.input_size"),
        threads=STUDY["threads"]["fidelity"],
        device=STUDY["device"],
    shell:
        "python -m ganaug check_extractor --settings {params.settings:q} --threads {params.threads}"
        " --device {params.device} --weights {input.weights} --report {output.report} --log {log}"


rule measure_fidelity:
    input:
        extractor=f"{RESULTS}/fidelity/extractor.json",
        weights=f"{RESULTS}/weights/{EXTRACTOR}.safetensors",
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
    threads: STUDY["threads"]["fidelity"]
    resources:
        gpu=GPU,
        mem_mb=scaled(packed_mb),
        runtime=scaled(minutes("measure_fidelity", STUDY["threads"]["fidelity"])),
    params:
        code=code("measure_fidelity"),
        settings=settings("fidelity"),
        seed=seed("fidelity", "size", "replicate"),
        threads=STUDY["threads"]["fidelity"],
        device=STUDY["device"],
    shell:
        "python -m ganaug measure_fidelity --settings {params.settings:q} --seed {params.seed}"
        " --threads {params.threads} --device {params.device} --weights {input.weights}"
        " --real-images {input.real_images} --real-table {input.real_table}"
        " --synthetic-images {input.synthetic_images} --synthetic-table {input.synthetic_table}"
        " --held-out-images {input.held_out_images} --held-out-table {input.held_out_table}"
        " --snapshots {input.snapshots} --snapshot-table {input.snapshot_table}"
        " --fidelity {output.fidelity} --curve {output.curve} --memorisation {output.memorisation}"
        " --closest {output.closest} --provenance {output.provenance} --log {log}"
