"""What is known of model versions: manifests are read once, for they never change."""

from typing import Any

from model.storage.registry import Registry

_REPORTED = (
    "version", "kind", "parent", "created_ms", "verdicts", "metrics", "data", "night", "training",
    "trained_through_seq", "judged_through_seq",
)  # fmt: skip


class Versions:
    """The registry with a memory."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._manifests: dict[str, dict[str, Any]] = {}

    def manifest(self, version: str) -> dict[str, Any]:
        """The manifest of a published version or refused candidate.

        Raises:
          NotFoundError: If there is no such version.
          CorruptBundleError: If the manifest cannot be read.
        """
        if version not in self._manifests:
            self._manifests[version] = self.registry.manifest(version)
        return self._manifests[version]

    def report(self, version: str) -> dict[str, Any]:
        """How a version was made and judged.

        Raises:
          NotFoundError: If there is no such version.
          CorruptBundleError: If the manifest cannot be read.
        """
        manifest = self.manifest(version)
        report = {name: manifest[name] for name in _REPORTED if name in manifest}
        verdicts = report.setdefault("verdicts", [])
        passed = all(verdict["passed"] for verdict in verdicts)
        return {**report, "passed": passed, "refused": version in self.registry.refused()}

    def consolidated_in(self, seq: int) -> str | None:
        """The oldest published version that has learned this log position; None for none yet."""
        for version in self.registry.versions():
            if self.manifest(version).get("trained_through_seq", 0) >= seq:
                return version
        return None
