# Does GAN-based augmentation help to classify chest X-rays, and how does that depend on how many there are?
#
#   snakemake --cores 2                                       the quickstart (config/config.yaml)
#   snakemake --cores 2 --configfile config/<study>.yaml      another study


include: "workflow/Snakefile"


workflow.default_target = "all"  # an include leaves it as it was: without a target nothing would be built
