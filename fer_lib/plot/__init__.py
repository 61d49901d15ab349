"""Figures, tables, sliders: what a reader sees of a study."""
