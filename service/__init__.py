"""The HTTP service: it answers, takes events and swaps models; it never trains."""
