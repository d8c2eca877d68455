# All cells → tables → figures → report.


# Seconds each: not worth a place in a cluster's queue.
localrules:
    check_lineage,
    make_figure,
    make_report,


rule check_lineage:
    input:
        provenance=lambda wildcards: next(job.inputs for job in jobs_of(STUDY) if job.rule == "check_lineage"),
        asked=lambda wildcards: asked_file(),
    output:
        report=f"{RESULTS}/cells/lineage.json",
        provenance=f"{RESULTS}/cells/lineage.provenance.json",
    log:
        f"{RESULTS}/logs/check_lineage.log",
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=mem_mb("check_lineage"),
        runtime=runtime("check_lineage"),
    params:
        code=code_of("check_lineage"),
        results=study_folder,
    shell:
        "python -m ganaug check_lineage --results {params.results} --asked {input.asked}"
        " --report {output.report} --provenance {output.provenance} --log {log}"


rule make_tables:
    input:
        lineage=f"{RESULTS}/cells/lineage.json",
        checked=f"{RESULTS}/cells/lineage.provenance.json",  # else results of a version without it would lack it for ever
        results=lambda wildcards: also("make_tables", wildcards),
        data=[f"{RESULTS}/data/{name}.csv" for name in ("splits", "test", "problems")],
    output:
        report(
            f"{RESULTS}/tables/summary.csv",
            caption="../report/summary.rst",
            category="Results",
            labels={"table": "summary"},
        ),
        *expand(
            f"{RESULTS}/tables/{{table}}.csv", table=[name for name in tables_of(STUDY.parts()) if name != "summary"]
        ),
        provenance=f"{RESULTS}/tables/provenance.json",
    log:
        f"{RESULTS}/logs/make_tables.log",
    benchmark:
        f"{RESULTS}/benchmarks/make_tables.tsv"
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=mem_mb("make_tables"),
        runtime=runtime("make_tables"),
    params:
        code=code_of("make_tables"),
        settings=settings("make_tables"),
        seed=seed("make_tables"),
        results=study_folder,
        tables=table_options,
    shell:
        "python -m ganaug make_tables --settings {params.settings:q} --seed {params.seed} --results {params.results}"
        " --lineage {input.lineage} {params.tables} --provenance {output.provenance} --log {log}"


rule make_figure:
    input:
        data=lambda wildcards: also("make_figure", wildcards),
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
        mem_mb=mem_mb("make_figure"),
        runtime=runtime("make_figure"),
    params:
        code=lambda wildcards: code_of("make_figure", wildcards.figure),
        settings=settings("make_figure"),
        results=study_folder,
    shell:
        "python -m ganaug make_figure --figure {wildcards.figure} --settings {params.settings:q}"
        " --results {params.results} --png {output.png} --svg {output.svg} --log {log}"


rule make_report:
    input:
        results=lambda wildcards: also("make_report", wildcards),
        data=[f"{RESULTS}/data/{name}" for name in ("sizes.csv", "near_copies.json", "problems.csv", "splits.csv")],
    output:
        report=report(f"{RESULTS}/report.html", caption="../report/report.rst", category="Report"),
    log:
        f"{RESULTS}/logs/make_report.log",
    conda:
        "../../envs/ganaug.yaml"
    resources:
        mem_mb=mem_mb("make_report"),
        runtime=runtime("make_report"),
    params:
        code=code_of("make_report"),
        settings=settings("make_report"),
        results=study_folder,
    shell:
        "python -m ganaug make_report --settings {params.settings:q} --results {params.results}"
        " --report {output.report} --log {log}"
