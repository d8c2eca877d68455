# Does GAN-based augmentation help to classify chest X-rays, and how does that depend on how many there are?
#
#   snakemake --cores 2                                       the quickstart (config/config.yaml)
#   snakemake --cores 2 --configfile config/<study>.yaml      another study
#
# Rules lie in workflow/rules, one file per stage; the science in src/ganaug; settings in config.

from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.18")

# Others count on the names of the rules and on what is done at the start, and jobs on the code in src.
if Path(workflow.main_snakefile).name != "Snakefile" or not Path(workflow.basedir, "src", "ganaug").is_dir():
    raise WorkflowError(
        "ganaug's Snakefile runs from its checkout and by itself alone, as no module or include of another workflow: run "
        "`snakemake --snakefile /path/to/ganaug/Snakefile` first, and name its results as inputs of the other"
    )


report: "workflow/report/workflow.rst"


# With another study on the command line the quickstart must not shine through: Snakemake would merge the two.
if not workflow.overwrite_configfiles:

    configfile: f"{workflow.basedir}/config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/driver.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/gan.smk"
include: "workflow/rules/classify.smk"
include: "workflow/rules/external.smk"
include: "workflow/rules/lineage.smk"
include: "workflow/rules/analysis.smk"


rule all:
    default_target: True
    input:
        targets(),


onstart:
    with told_in_words():
        take_over()
        make_beginnings()
        refuse_mixture()
        forget_asked(STUDY, Path(asked_file()))


onsuccess:
    from ganaug.overview.partial import after_success  # pandas comes with it, which jobs need not load

    after_success(STUDY, LISTINGS)


onerror:
    from ganaug.overview.partial import after_failure

    after_failure(STUDY, LISTINGS, Path(log))
