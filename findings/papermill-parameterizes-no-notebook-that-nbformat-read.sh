#!/bin/sh
# papermill.parameterize.parameterize_notebook fails on a notebook that nbformat has read,
# although both pass around the same type.
#
# What is surprising.  The documented function takes an nbformat NotebookNode
# and a dict of parameters.  With a valid notebook from nbformat.read (any version 4 file without cell tags in it) it
# raises AttributeError: tags, since it reads `cell.metadata.tags` of each
# cell.  Only papermill's own loader, papermill.iorw.load_notebook_node, adds
# an empty list of tags to every cell; execute_notebook goes through it, so
# that the shell command never shows the fault.
#
# Whom it hurts.  Whoever prepares runs by program: batch tools that fill in
# parameters now and execute later, on a cluster or inside a documentation
# build.  They work as long as every cell of the test notebook is tagged, and
# fail on the first that is not.
# Remedy: load_notebook_node(path) instead of nbformat.read.
#
# Source.  papermill 2.7.0 (parameterize.py, utils.py: find_first_tagged_cell_index),
# nbformat 5.10.4; Python 3.11.  Installs about 60 MB in a temporary folder.
# Exits non-zero if it is no longer so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check papermill==2.7.0 nbformat==5.10.4 2> "$folder/pip.log"
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import warnings

import nbformat
import papermill
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

warnings.simplefilter("ignore")
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]})])
notebook.cells.insert(0, nbformat.v4.new_markdown_cell("# A title"))
notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
nbformat.validate(notebook)
nbformat.write(notebook, "in.ipynb")
print("papermill", papermill.__version__, "nbformat", nbformat.__version__)
try:
    parameterize_notebook(nbformat.read("in.ipynb", as_version=4), {"x": 2})
except AttributeError as error:
    print("read by nbformat: AttributeError:", error)
else:
    raise SystemExit("a notebook that nbformat read is parameterized now")
done = parameterize_notebook(load_notebook_node("in.ipynb"), {"x": 2})
print("read by papermill:", repr(done.cells[2].source))
assert "x = 2" in done.cells[2].source
PYTHON
