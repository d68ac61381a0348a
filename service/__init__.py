"""The HTTP service: it answers, takes events and swaps models; it never trains."""

import os

# Before NumPy is loaded. The products of one request are small: shared out among threads
# they take longer, and the threads of several workers would get in each other's way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
