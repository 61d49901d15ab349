"""Faces as one tidy table, whoever took the pictures: readers, audit, crops."""
