"""How a Parquet file says that its column types are meant as they are."""

from typing import Final

EXACT: Final = b"slowwave"
"""A key of the file's metadata; such a file was written by `slowwave export`."""
