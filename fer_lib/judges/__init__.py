"""Independent detectors and networks, trained on photographs, look at faces that were rendered."""
