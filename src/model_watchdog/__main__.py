"""`python -m model_watchdog`: the same as `watchdog`."""

import sys

from model_watchdog.cli.main import main

sys.exit(main())
