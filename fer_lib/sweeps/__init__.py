"""The same notebooks with many sets of parameters, on one machine or a cluster.

A YAML file says what varies (`specification`), Snakemake runs what is missing (`run`, ``sweeps/Snakefile``), and each of its jobs is
one notebook with one set (`execute`).
"""
