"""``python -m fastfcn_infer`` is ``fastfcn``."""

import sys

from fastfcn_infer.cli.main import main

sys.exit(main())
