"""The paper's distance, and the nulls, controls and verdicts beside it; arrays in, numbers out."""
