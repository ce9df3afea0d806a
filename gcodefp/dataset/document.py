"""What dataset.json has to be."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from gcodefp.documents import Count, Document, Finite, Provenance, Sha256

Positive = Annotated[float, Field(gt=0, le=1e300)]
Names = list[str]


class Window(Document):
    rows: int = Field(ge=1, le=10**9)
    max_gap_seconds: Finite


class SplitSettings(Document):
    by: str
    held_out: Names
    seed: int | None


class SplitContent(Document):
    recordings: Names
    rows: Count
    windows: Count
    sha256: Sha256


class Channel(Document):
    name: str
    unit: str
    mean: Finite
    std: Positive


class VocabularyClasses(Document):
    commands: Names
    parameter_types: Names
    parameter_values: list[Finite]
    operations: Names = Field(min_length=1)
    steps: int = Field(ge=1, le=10**6)


class PositionScale(Document):
    mean: list[Finite] = Field(min_length=3, max_length=3)
    std: list[Positive] = Field(min_length=3, max_length=3)


class ProgramsContent(Document):
    names: Names
    places: Count
    step_seconds: Positive
    sha256: Sha256


class RecordingContent(Document):
    operation: str
    program: str | None
    lag_seconds: Finite | None
    rows: Count


class ExcludedRecording(Document):
    recording: str
    reason: str


class DatasetDocument(Document):
    """dataset.json, format gcodefp-dataset-2."""

    provenance: Provenance
    leaky: bool
    controller_is_input: bool
    window: Window
    split: SplitSettings
    groups: Names
    splits: dict[str, SplitContent]
    channels: list[Channel] = Field(min_length=1)
    centered: bool
    vocabulary: VocabularyClasses
    position_mm: PositionScale
    programs: ProgramsContent
    left_out: list[ExcludedRecording]
    recordings: dict[str, RecordingContent]
    counts: dict[str, Count]

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        if missing := {"train", "val", "test"} - set(self.splits):
            raise ValueError(f"splits has no {min(missing)}")
        for name, split in self.splits.items():
            if unknown := set(split.recordings) - set(self.recordings):
                raise ValueError(f"splits.{name} has {min(unknown)!r}, recordings has not")
        return self
