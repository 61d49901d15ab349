"""The speed table: this library and its peers, side by side in one run. Start it with ``make bench``."""
