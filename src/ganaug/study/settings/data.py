"""The images of a study: settings."""

from typing import Annotated, Literal

from pydantic import Field

from ganaug.study.settings.block import Block
from ganaug.study.settings.types import Choice, File, Flag, FromText, Number, OrNull, Text, Unique, Whole


class Phantom(Block):
    """The synthetic radiographs of source `phantom`."""

    images_per_class: Whole = Field(default=400, ge=2, le=1_000_000, description="Images made of each class.")
    resolution: Whole = Field(default=256, ge=16, le=1024, description="Side of the rendered images in pixels.")


class Data(Block):
    """The images."""

    source: Literal["phantom", "radiography", "folder"] = Field(
        default="phantom",
        description="`phantom`: synthetic radiographs made by the project; `radiography`: the COVID-19 Radiography "
        "Database's layout, `<class>/images/*.png`; `folder`: one folder of images per class.",
    )
    classes: OrNull[Annotated[list[Text], Field(min_length=2, max_length=1000), Unique]] = Field(
        default=None,
        description="Classes to use, in the order of tables and figures; null for every class folder, sorted.",
    )
    follow_links: Flag = Field(
        default=False,
        description="Whether links that lead out of `data_root` are followed. If not, such files are left out and "
        "listed, and such class folders stop the run. Links that stay inside are always followed.",
    )
    resolution: Annotated[Literal[16, 32, 64, 128, 256, 512, 1024], Choice] = Field(
        default=256,
        description="Side of the square images in pixels, for the GAN and for the classifiers' input files.",
    )
    max_bad_share: Number = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of files that may be unreadable, or left out as no films, before the run stops and names "
        "them.",
    )
    not_films: Literal["leave out", "keep"] = Field(
        default="leave out",
        description="What is done with images that can't be films: blank or nearly blank, two-valued as a mask is, of "
        "at most 8 grey levels, noise, or with a side of less than 16 pixels. None of 4,000 radiographs "
        "is one of these. Some films that were changed before are: of 400 radiographs 5 % are taken for "
        "two-valued on a black canvas of twice their side, and those of very low contrast for nearly "
        "blank (all with 16 neighbouring grey levels, 63 % with 20, 13 % with 30). Crop such films or "
        "stretch their contrast; or write `keep`, which uses all images, blank ones too. Either way "
        "problems.csv lists them, of external images external/problems.csv.",
    )
    near_copy_distance: Annotated[int, Field(ge=0, le=256), FromText] | Literal["auto"] = Field(
        default="auto",
        description="Two images whose perceptual hashes differ in at most this many of 256 bits are near-copies of "
        "one group. `auto`: chosen from the distances of copies made of the images and of images of "
        "different classes.",
    )
    groups: OrNull[File] = Field(
        default=None,
        description="CSV with the columns `file` (below data_root) and `group` (patient, study): images of a group "
        "never stand on two sides of a split. Near-copies join groups. At most a fifth of the images may "
        "lack a group.",
    )
    phantom: Phantom = Phantom()


class Splits(Block):
    """Test set and validation sets."""

    test_share: Number = Field(
        default=0.2, gt=0, lt=1, description="Share of each class set aside for the one fixed test set."
    )
    validation_share: Number = Field(
        default=0.2,
        gt=0,
        le=0.5,
        description="Share of a cell's images that validates; it picks the epoch and is never trained on.",
    )

    def of_subset(self, size: int) -> int:
        """Images per class that validate, of a subset of `size` images per class."""
        return max(1, round(size * self.validation_share))


class ExternalTest(Block):
    """Labelled images from elsewhere."""

    data_root: str = Field(min_length=1, description="Folder of the images.")
    source: Literal["radiography", "folder"] = Field(default="folder", description="Its layout, as for `data.source`.")
    follow_links: Flag = Field(
        default=False, description="Whether links that lead out of that folder are followed, as `data.follow_links`."
    )
