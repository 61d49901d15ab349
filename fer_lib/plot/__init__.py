"""Figures, tables, sliders: what a reader sees of a study.

A module for each question of the book holds its figures, tables and sentences: `training`, `traditional`, `saliency`, `facial_units`,
`distances`, `detectors`, `interventions`, `decision`, `conclusions` (the claims), `levels`, `sweeps` and `regimes` (many networks).
In `network_page` the network itself runs, in `explorer` stored maps are looked through. Faces and maps are drawn in `figures`, tables of
pictures made in `tables`; `style`, `pictures` and `text` are what all of them share.
"""
