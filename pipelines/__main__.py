"""`python -m pipelines` is `slowwave`."""

from pipelines.cli import main

main()
