"""Does GAN-based augmentation help to classify chest X-rays, and how does that depend on how many there are?"""

__version__ = "0.1.0"
