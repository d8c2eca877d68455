# All cells → tables → figures → report.


# Seconds each: not worth a place in a cluster's queue.
localrules:
    check_lineage,
    make_figure,
    make_report,


rule check_lineage:
    input:
        provenance=lambda wildcards: [f"{RESULTS}/{job['provenance']}" for job in asked_jobs()],
        asked=lambda wildcards: asked_file(),
        missing=UNFINISHED if INCOMPLETE else [],
    output:
        report=LINEAGE,
        provenance=f"{RESULTS}/cells/lineage.provenance.json",
    log:
        f"{RESULTS}/logs/check_lineage.log",
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=scaled(1000),
        runtime=scaled(30),
    params:
        code=code("check_lineage"),
        results=study_folder,
        unfinished=unfinished,
    shell:
        "python -m ganaug check_lineage --results {params.results} --asked {input.asked} {params.unfinished}"
        " --report {output.report} --provenance {output.provenance} --log {log}"


rule make_tables:
    input:
        lineage=LINEAGE,
        checked=f"{RESULTS}/cells/lineage.provenance.json",  # else results of a version without it would lack it for ever
        predictions=lambda wildcards: all_cells("predictions.csv"),
        histories=lambda wildcards: all_cells("history.csv"),
        external=lambda wildcards: cells("predictions.csv", folder="external") if EXTERNAL else [],
        external_images=f"{RESULTS}/external/images.csv" if EXTERNAL else [],
        scored=lambda wildcards: (
            there(
                expand(
                    f"{RESULTS}/synthetic/{SUBSET}/scored-{{backbone}}.csv",
                    size=STUDY["sizes"],
                    replicate=replicates(),
                    backbone=STUDY["backbones"],
                )
            )
            if "synthetic-only" in PROBES
            else []
        ),
        splits=f"{RESULTS}/data/splits.csv",
        test=f"{RESULTS}/data/test.csv",
        problems=f"{RESULTS}/data/problems.csv",
        subsets=subsets(f"subsets/{SUBSET}/train.csv") + subsets(f"subsets/{SUBSET}/validation.csv"),
        fidelity=subsets(f"fidelity/{SUBSET}/fidelity.csv") if GENERATED else [],
        curves=subsets(f"fidelity/{SUBSET}/curve.csv") if GENERATED else [],
        memorisation=subsets(f"fidelity/{SUBSET}/memorisation.csv") if GENERATED else [],
        training=subsets(f"gan/{SUBSET}/training.csv") if GENERATED else [],
        missing=UNFINISHED if INCOMPLETE else [],
    output:
        report(
            f"{RESULTS}/tables/summary.csv",
            caption="../report/summary.rst",
            category="Results",
            labels={"table": "summary"},
        ),
        *expand(f"{RESULTS}/tables/{{table}}.csv", table=[name for name in TABLES if name != "summary"]),
        provenance=f"{RESULTS}/tables/provenance.json",
    log:
        f"{RESULTS}/logs/make_tables.log",
    benchmark:
        f"{RESULTS}/benchmarks/make_tables.tsv"
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(minutes("make_tables", 1)),
    params:
        code=code("make_tables"),
        settings=grid_settings("statistics", "splits.validation_share", ratio=STUDY["synthetic"]["ratio"]),
        seed=seed("statistics"),
        results=study_folder,
        unfinished=unfinished,
        tables=table_options,
    shell:
        "python -m ganaug make_tables --settings {params.settings:q} --seed {params.seed} --results {params.results}"
        " --lineage {input.lineage} {params.unfinished} {params.tables} --provenance {output.provenance} --log {log}"


rule make_figure:
    input:
        data=figure_data,
        missing=UNFINISHED if INCOMPLETE else [],
    output:
        png=report(
            f"{RESULTS}/figures/{{figure}}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        svg=f"{RESULTS}/figures/{{figure}}.svg",
    log:
        f"{RESULTS}/logs/make_figure/{{figure}}.log",
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(30),
    params:
        code=code("make_figure"),
        settings=figure_settings,
        results=study_folder,
        unfinished=unfinished,
    shell:
        "python -m ganaug make_figure --figure {wildcards.figure} --settings {params.settings:q}"
        " --results {params.results} {params.unfinished} --png {output.png} --svg {output.svg} --log {log}"


rule make_report:
    input:
        tables=expand(f"{RESULTS}/tables/{{table}}.csv", table=TABLES),
        figures=expand(f"{RESULTS}/figures/{{figure}}.{{suffix}}", figure=FIGURES, suffix=["png", "svg"]),
        leaks=subsets(f"subsets/{SUBSET}/leaks.json"),
        sizes=f"{RESULTS}/data/sizes.csv",
        # Each of them by name: of a job that failed or was interrupted nothing is left, and Snakemake would not look
        # behind the older results that were made from what it had left before.
        made=lambda wildcards: made(),
        missing=UNFINISHED if INCOMPLETE else [],
        data=[f"{RESULTS}/data/{name}" for name in ("near_copies.json", "problems.csv", "splits.csv")],
        patients=f"{RESULTS}/data/manifest.csv" if DATA["groups"] else [],
        external=[f"{RESULTS}/external/{name}.csv" for name in ("images", "problems", "left_out")] if EXTERNAL else [],
    output:
        report=report(f"{RESULTS}/report.html", caption="../report/report.rst", category="Report"),
    log:
        f"{RESULTS}/logs/make_report.log",
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(30),
    params:
        code=code("make_report", templates()),
        settings=report_settings,
        results=study_folder,
        unfinished=unfinished,
    shell:
        "python -m ganaug make_report --settings {params.settings:q} --results {params.results} {params.unfinished}"
        " --report {output.report} --log {log}"
