"""Data sets kept as image files in folders."""

from jaxnas.data.folders.class_folders import load_folder
from jaxnas.data.folders.image_files import SUFFIXES, refuse_link_to_nothing
from jaxnas.data.folders.imagenet import imagenet_validation, load_imagenet
from jaxnas.data.folders.tiny_imagenet import load_tiny_imagenet

__all__ = [
    "SUFFIXES",
    "imagenet_validation",
    "load_folder",
    "load_imagenet",
    "load_tiny_imagenet",
    "refuse_link_to_nothing",
]
