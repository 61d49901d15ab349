"""Under nbval the notebooks run at the smallest preset, unless the environment says otherwise."""

import os

os.environ.setdefault("FER_PRESET", "smoke")
