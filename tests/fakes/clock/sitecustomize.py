"""A host whose clock is off by `HOURS_OFF` hours, for a process that finds this on its path."""

import os
import time

_right = time.time
_off = float(os.environ["HOURS_OFF"]) * 3600
time.time = lambda: _right() + _off
