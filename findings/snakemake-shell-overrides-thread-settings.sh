#!/bin/sh
# Snakemake's shell jobs overwrite the user's own thread limits with the
# rule's number of threads, which is one where nothing is said.
#
# What is surprising.  Whoever exports OMP_NUM_THREADS=4 before a run expects
# NumPy, PyTorch or R in the jobs to use four threads, as they do when the
# same command is typed by hand.  In a rule's `shell:` block Snakemake sets
# OMP_NUM_THREADS, OPENBLAS_NUM_THREADS, MKL_NUM_THREADS and relatives to the
# rule's `threads`, whose default is 1, whatever was exported.  So the variable
# has no effect, and a rule without `threads:` runs on one core however many
# `--cores` were given.
#
# Whom it hurts.  Sweeps of trainings: they take several times as long as by
# hand, and, because sums are rounded in another order with another number of
# threads, their last bits are not those of the same command outside of the
# workflow.  A comparison of the two looks like a bug of the model's code.
# Remedy: `threads:` in the rule, or --set-threads RULE=N.
#
# Source.  snakemake 9.27.1, snakemake/shell.py, where the environment of the
# command is put together; seen with Python 3.11.  Installs about 100 MB in a
# temporary folder; takes about a minute.  Exits non-zero if it is no longer so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check snakemake==9.27.1 2> "$folder/pip.log"
cd "$folder"
cat > Snakefile <<'RULES'
rule all:
    input: "unsaid.txt", "three.txt"
rule unsaid:
    output: "unsaid.txt"
    shell: "echo $OMP_NUM_THREADS > {output}"
rule three:
    output: "three.txt"
    threads: 3
    shell: "echo $OMP_NUM_THREADS > {output}"
RULES
OMP_NUM_THREADS=4 "$folder/env/bin/snakemake" --cores 4 --quiet all > run.log 2>&1
echo "snakemake $("$folder/env/bin/snakemake" --version), OMP_NUM_THREADS=4 outside"
echo "in a rule without threads: $(cat unsaid.txt); with threads: 3: $(cat three.txt)"
test "$(cat unsaid.txt)" = 1
test "$(cat three.txt)" = 3
