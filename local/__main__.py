"""``python -m local``: see ``program``; here only what must be there before all imports."""

import signal
import sys
from typing import Never


def _interrupted(*_: object) -> Never:
    raise KeyboardInterrupt


for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(each, _interrupted)
try:
    from local.program import main

    main()
except KeyboardInterrupt:  # while it was still being imported
    sys.exit(130)
