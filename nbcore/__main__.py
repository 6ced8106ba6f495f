"""`python -m nbcore …`"""

import sys

from nbcore.cli import main

sys.exit(main())
