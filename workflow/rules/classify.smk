# Pretrained weights, a trial of each backbone, and one classifier per cell.


localrules:
    prepare_weights,


rule prepare_weights:
    input:
        file=weights_file,
    output:
        weights=f"{RESULTS}/weights/{{backbone}}.safetensors",
        provenance=f"{RESULTS}/weights/{{backbone}}.provenance.json",
    log:
        f"{RESULTS}/logs/prepare_weights/{{backbone}}.log",
    priority: 100  # weights that can't be had must be known before days of GAN training
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=mem_mb("prepare_weights"),
        runtime=runtime("prepare_weights"),
    params:
        code=code_of("prepare_weights"),
        settings=settings("prepare_weights"),
        file=lambda wildcards, input: f"--file {quote(input.file)}" if input.file else "",
    shell:
        "python -m ganaug prepare_weights --settings {params.settings:q} {params.file} --weights {output.weights}"
        " --provenance {output.provenance} --log {log}"


# What can't work must fail before anything costly: driver.smk runs this rule and the other two of TRIALS first.
rule check_backbone:
    input:
        weights=f"{RESULTS}/weights/{{backbone}}.safetensors",
    output:
        report=f"{RESULTS}/weights/{{backbone}}.check.json",
    log:
        f"{RESULTS}/logs/check_backbone/{{backbone}}.log",
    priority: 100
    conda:
        "../../envs/ganaug.yaml"
    threads: threads_of(STUDY, "check_backbone")
    resources:
        gpu=gpus_of(STUDY, "check_backbone"),
        mem_mb=mem_mb("check_backbone"),
        runtime=runtime("check_backbone"),
    params:
        # Of the trainings that wait for it: it runs again when they do, and its own change makes no result anew.
        code=code_of("check_backbone"),
        settings=settings("check_backbone"),
        threads=SETTINGS["threads"]["classifier"],
        device=SETTINGS["device"],
    shell:
        "python -m ganaug check_backbone --settings {params.settings:q} --threads {params.threads}"
        " --device {params.device} --weights {input.weights} --report {output.report} --log {log}"


rule train_classifier:
    input:
        unpack(synthetic_set),
        backbone=f"{RESULTS}/weights/{{backbone}}.check.json",
        leaks=f"{RESULTS}/subsets/{SUBSET}/leaks.json",
        weights=f"{RESULTS}/weights/{{backbone}}.safetensors",
        train_images=f"{RESULTS}/subsets/{SUBSET}/train.npy",
        train_table=f"{RESULTS}/subsets/{SUBSET}/train.csv",
        validation_images=f"{RESULTS}/subsets/{SUBSET}/validation.npy",
        validation_table=f"{RESULTS}/subsets/{SUBSET}/validation.csv",
        test_images=f"{RESULTS}/data/test.npy",
        test_table=f"{RESULTS}/data/test.csv",
    output:
        model=f"{RESULTS}/cells/{CELL}/model.safetensors",
        history=f"{RESULTS}/cells/{CELL}/history.csv",
        predictions=f"{RESULTS}/cells/{CELL}/predictions.csv",
        provenance=f"{RESULTS}/cells/{CELL}/provenance.json",
    log:
        f"{RESULTS}/logs/train_classifier/{CELL}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_classifier/{CELL}.tsv"
    conda:
        "../../envs/ganaug.yaml"
    threads: threads_of(STUDY, "train_classifier")
    resources:
        gpu=gpus_of(STUDY, "train_classifier"),
        mem_mb=mem_mb("train_classifier"),
        runtime=runtime("train_classifier"),
        # It decides no byte, so it is no param: a change reruns nothing.
        checkpoint_seconds=SETTINGS["classifier"]["checkpoint_seconds"],
    params:
        code=code_of("train_classifier"),
        settings=settings("train_classifier"),
        # Not of the augmentation: all augmentations start from the same weights and draw the same batches.
        seed=seed("train_classifier"),
        threads=SETTINGS["threads"]["classifier"],
        device=SETTINGS["device"],
        synthetic=lambda wildcards, input: (
            f"--synthetic-images {input.synthetic_images} --synthetic-table {input.synthetic_table}"
            if synthetic_set(wildcards)
            else ""
        ),
        # Not an output: what a killed training has reached must outlive it.
        checkpoints=f"{RESULTS}/checkpoints/classifier/{CELL}",
    shell:
        "python -m ganaug train_classifier --settings {params.settings:q} --seed {params.seed}"
        " --threads {params.threads} --device {params.device} --weights {input.weights}"
        " --train-images {input.train_images} --train-table {input.train_table}"
        " --validation-images {input.validation_images} --validation-table {input.validation_table}"
        " --test-images {input.test_images} --test-table {input.test_table} {params.synthetic}"
        " --model {output.model} --history {output.history} --predictions {output.predictions}"
        " --checkpoints {params.checkpoints} --checkpoint-seconds {resources.checkpoint_seconds}"
        " --provenance {output.provenance} --log {log}"


rule score_synthetic:
    input:
        model=f"{RESULTS}/cells/none/size-{{size}}/replicate-{{replicate}}/{{backbone}}/model.safetensors",
        images=f"{RESULTS}/synthetic/{SUBSET}/images.npy",
        table=f"{RESULTS}/synthetic/{SUBSET}/images.csv",
        check=f"{RESULTS}/synthetic/{SUBSET}/check.json",
    output:
        predictions=f"{RESULTS}/synthetic/{SUBSET}/scored-{{backbone}}.csv",
        provenance=f"{RESULTS}/synthetic/{SUBSET}/scored-{{backbone}}.provenance.json",
    log:
        f"{RESULTS}/logs/score_synthetic/{SUBSET}/{{backbone}}.log",
    conda:
        "../../envs/ganaug.yaml"
    threads: threads_of(STUDY, "score_synthetic")
    resources:
        gpu=gpus_of(STUDY, "score_synthetic"),
        mem_mb=mem_mb("score_synthetic"),
        runtime=runtime("score_synthetic"),
    params:
        code=code_of("score_synthetic"),
        settings=settings("score_synthetic"),
        threads=SETTINGS["threads"]["classifier"],
        device=SETTINGS["device"],
    shell:
        "python -m ganaug score_images --settings {params.settings:q} --threads {params.threads}"
        " --device {params.device} --model {input.model}"
        " --images {input.images} --table {input.table} --predictions {output.predictions}"
        " --provenance {output.provenance} --log {log}"
