"""Faces rendered from a parametric head, with exact action units; `dataset` writes whole sets of them."""
