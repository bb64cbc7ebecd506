"""Settings that moto reads when it is imported. Import this module before anything of moto."""

from __future__ import annotations

import os

# Templates attach AWS managed policies (AWSLambdaBasicExecutionRole and the like).
os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
