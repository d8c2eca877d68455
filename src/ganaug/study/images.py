"""What the raw images of a study are, as digests: an image added, removed or changed is seen in them."""

import hashlib
import os
from pathlib import Path

from ganaug.data.listing import listing_digest
from ganaug.errors import UserError
from ganaug.study.model import Study

CACHE = Path(".snakemake", "images")  # below where Snakemake works: hashes of files that have been read


def listings_of(study: Study) -> dict[str, str]:
    """By rule the digest of the images that its job reads; a study's own phantoms have none.

    Raises UserError where the images can't be listed.
    """
    data, elsewhere, found = study.settings["data"], study.settings["external_test"], {}
    if not study.phantom:
        root = study.data_root
        found["make_manifest"] = listing_digest(
            Path(root), data["source"], data["classes"], data["follow_links"], cache_of(root)
        )
    if elsewhere:
        root = os.path.expanduser(elsewhere["data_root"])
        try:
            found["make_external_set"] = listing_digest(
                *(Path(root), elsewhere["source"], None, elsewhere["follow_links"], cache_of(root)),
                known=data["classes"] or (),
            )
        except UserError as error:
            raise UserError(f"external_test: {error}") from None
    return found


def cache_of(root: str) -> Path:
    return CACHE / f"{hashlib.sha256(os.path.abspath(root).encode()).hexdigest()[:16]}.json"
