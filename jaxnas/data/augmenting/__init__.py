"""Augmentation by policies: operations that are drawn for each image."""
