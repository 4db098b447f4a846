"""Settings of a site that runs operations on a queue, as ``docs/queues.md`` writes them. Database and server come from
the environment."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from tests import settings as ordinary
from tests.settings import *  # noqa: F403

shutil.rmtree(ordinary.RUN_DIR)
DATABASES["default"]["NAME"] = os.environ["QUEUE_DATABASE"]  # noqa: F405
CACHES["default"]["LOCATION"] = f"unix://{os.environ['QUEUE_SOCKET']}?db=0"  # noqa: F405

RECIPE = (Path(__file__).parents[2] / "docs" / "queues.md").read_text()
exec(re.search(r"```python\n(INSTALLED_APPS.*?)```", RECIPE, re.DOTALL)[1])
