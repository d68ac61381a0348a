"""API keys as they are stored: hashed, named, with scopes. The keys themselves are nowhere.

A key is 256 random bits, so its plain SHA-256 can neither be guessed nor looked up, and
needs no slow password hash.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model.errors import BadInputError, NotFoundError
from model.files import write_atomically

SCOPES: Final = frozenset({"read", "write", "admin"})
KEY_BYTES: Final = 32
_FORMAT: Final = "slowwave-keys/1"
_PREFIX: Final = "sw_"
_HEX_DIGITS: Final = 64


@dataclass(frozen=True)
class ApiKey:
    """What is kept of a key.

    Attributes:
      key_id: Names the key in lists and to revoke it; no secret.
      name: Who uses it, for people.
      sha256: Hex digest of the key.
      scopes: What it may do, of `read`, `write` and `admin`.
      created_ms: When it was made.
    """

    key_id: str
    name: str
    sha256: str
    scopes: frozenset[str]
    created_ms: int

    def __post_init__(self) -> None:
        if not self.scopes or self.scopes - SCOPES:
            raise BadInputError(
                f"scopes must be one or more of {', '.join(sorted(SCOPES))}; "
                f"got {', '.join(sorted(self.scopes)) or 'none'}"
            )
        if not 1 <= len(self.name) <= 100 or not self.name.isprintable():
            raise BadInputError(
                f"a key's name must have 1 to 100 printable characters, got {self.name[:100]!r}"
            )


@dataclass(frozen=True)
class KeyRing:
    """All keys of a workspace."""

    keys: tuple[ApiKey, ...] = ()

    def scopes(self, presented: str) -> frozenset[str] | None:
        """What the presented key may do; None when it is not known."""
        digest = _digest(presented)
        found = None
        # every key is compared, in constant time: how long it takes tells nothing
        for key in self.keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key.scopes
        return found

    def with_key(self, key: ApiKey) -> "KeyRing":
        """The ring with one more key."""
        return KeyRing((*self.keys, key))

    def without(self, key_id: str) -> "KeyRing":
        """The ring with one key less.

        Raises:
          NotFoundError: If no key has this id.
        """
        left = tuple(key for key in self.keys if key.key_id != key_id)
        if len(left) == len(self.keys):
            known = ", ".join(key.key_id for key in self.keys) or "none"
            raise NotFoundError(f"no API key has the id {key_id!r}; the ids are: {known}")
        return KeyRing(left)


def new_key(
    name: str, scopes: frozenset[str], entropy: bytes, created_ms: int
) -> tuple[str, ApiKey]:
    """A key to hand out, and what is stored of it.

    Args:
      name: Who will use it.
      scopes: What it may do.
      entropy: `KEY_BYTES` bytes from a cryptographic generator.
      created_ms: The present.

    Raises:
      BadInputError: If a scope is unknown or none is given, or there is too little entropy.
    """
    if len(entropy) < KEY_BYTES:
        raise BadInputError(f"entropy must have at least {KEY_BYTES} bytes, got {len(entropy)}")
    presented = _PREFIX + entropy.hex()
    digest = _digest(presented)
    return presented, ApiKey(f"key-{digest[:8]}", name, digest, scopes, created_ms)


def load_keys(path: Path) -> KeyRing:
    """The keys in a file; a missing file holds none.

    Raises:
      BadInputError: If the file is damaged or of an unknown format.
    """
    if not path.exists():
        return KeyRing()
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        _check_format(stored["format"])
        return KeyRing(tuple(_key_from_json(row) for row in stored["keys"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInputError(f"{path.name} is damaged, no API key can be read: {error}") from error


def _check_format(found: object) -> None:
    if found != _FORMAT:
        raise ValueError(f"expected the format {_FORMAT}, got {found!r}")


def save_keys(ring: KeyRing, path: Path) -> None:
    """Writes the keys in one atomic step."""
    stored = {"format": _FORMAT, "keys": [_key_as_json(key) for key in ring.keys]}
    write_atomically(path, json.dumps(stored, indent=2).encode())


def _digest(presented: str) -> str:
    # a header may hold any text; what is no text at all cannot be a key either
    return hashlib.sha256(presented.encode("utf-8", "surrogatepass")).hexdigest()


def _key_as_json(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "name": key.name,
        "sha256": key.sha256,
        "scopes": sorted(key.scopes),
        "created_ms": key.created_ms,
    }


def _key_from_json(row: Mapping[str, Any]) -> ApiKey:
    digest = row["sha256"]
    if len(bytes.fromhex(digest)) * 2 != _HEX_DIGITS:
        raise ValueError(f"sha256 must have {_HEX_DIGITS} hex digits, got {len(digest)}")
    return ApiKey(row["id"], row["name"], digest, frozenset(row["scopes"]), int(row["created_ms"]))
