"""Every public name has an example in its docstring, which needs nothing but itself and gives what it says."""

import doctest

import pytest

import fer_lib as fer


@pytest.mark.parametrize("name", fer.__all__)
def test_examples_of_public_names_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    finder = doctest.DocTestFinder(recurse=False)
    (found,) = finder.find(getattr(fer, name), name, module=False, globs={})
    assert found.examples, f"fer.{name} has no example"
    assert "Examples\n" in found.docstring
    report = []
    outcome = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(found, out=report.append)
    assert not outcome.failed, "".join(report)
