"""Health, models and jobs."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.schemas.fields import In, Name
from service.schemas.metadata import Moment


class LiveOut(BaseModel):
    """The process answers."""

    status: Literal["live"]


class RefusedOut(BaseModel):
    """A published version that could not be loaded; the one before keeps serving."""

    version: str
    code: str = Field(description="Why; the log of the service says more.")


class ReadyOut(BaseModel):
    """The service can recommend and take events."""

    status: Literal["ready"]
    model_version: str
    memory_as_of: int
    refused: RefusedOut | None


class ModelOut(BaseModel):
    """The manifest of a model version."""

    model_config = ConfigDict(extra="allow")

    version: str
    created_ms: int
    parent: str | None
    kind: str
    trained_through_seq: int
    metrics: dict[str, Any]


class VersionOut(BaseModel):
    """A model version, in short."""

    version: str
    kind: str
    parent: str | None
    created_at: Moment
    trained_through_seq: int


class ModelsOut(BaseModel):
    """All model versions."""

    current: str | None = Field(description="The version that is published as current.")
    serving: str | None = Field(description="The version that answers here.")
    refused: RefusedOut | None = Field(description="A current version that cannot be loaded.")
    versions: list[VersionOut] = Field(description="Published versions, oldest first.")
    candidates: list[VersionOut] = Field(description="Refused candidates, oldest first.")


class ReportOut(BaseModel):
    """How a version was made and judged; what else there is depends on how it was made."""

    model_config = ConfigDict(extra="allow")

    version: str
    kind: str
    passed: bool = Field(description="Whether it passed every gate.")
    refused: bool = Field(description="Whether it is a candidate that was refused.")
    verdicts: list[dict[str, Any]] = Field(description="One for each gate; empty for a first one.")
    metrics: dict[str, Any]


class ConsolidateIn(In):
    """How to run a night."""

    dry_run: bool = Field(False, description="Judge the candidate and publish nothing.")


class RollbackIn(In):
    """What to go back to."""

    version: Name | None = Field(
        None, description="A published version; the one that served before when absent."
    )


class RollbackOut(BaseModel):
    """The version that serves from now on; every worker follows within moments."""

    current: str
    before: str | None


class JobOut(BaseModel):
    """What has become of a job."""

    job_id: str
    kind: Literal["consolidate"]
    arguments: list[str]
    status: Literal["queued", "running", "done", "refused", "failed", "lost"] = Field(
        description="refused: the gates turned the candidate down. lost: its process died."
    )
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    exit_code: int | None
    report: dict[str, Any] | None = Field(description="The night's report.")
    message: str | None = Field(description="Why it failed.")
