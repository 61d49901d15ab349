"""The expensive steps of a study: each a top-level function of artifacts, configs and plain values whose result is stored."""
