"""Figures, tables, sliders: what a reader sees of an experiment."""
