"""Settings that every test shares."""

import os

from hypothesis import HealthCheck, settings

# Kernels are tiny and results must not depend on the number of cores; read before numpy and torch are imported.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# Repeatable by default: the same examples on every machine, and no verdict from the clock. To look for new examples:
# pytest --hypothesis-profile=search
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")
