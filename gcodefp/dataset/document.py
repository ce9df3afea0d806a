"""What dataset.json has to be, for all that read it and for the report."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from gcodefp.documents import Count, Document, Finite, Provenance, Sha256

PositiveFloat = Annotated[float, Field(gt=0, le=1e300)]
Names = list[str]
Axes = Annotated[list[Finite], Field(min_length=3, max_length=3)]


class WindowSettings(Document):
    rows: int = Field(ge=1, le=10**9)


class SplitSettings(Document):
    by: str


class SplitFile(Document):
    recordings: Names
    sha256: Sha256


class Channel(Document):
    name: str
    unit: str
    mean: Finite
    std: PositiveFloat


class VocabularyClasses(Document):
    commands: Names
    parameter_types: Names
    parameter_values: list[Finite]
    operations: Names = Field(min_length=1)
    steps: int = Field(ge=1, le=10**6)


class PositionScale(Document):
    mean: Axes
    std: Axes


class ProgramsFile(Document):
    names: Names
    places: Count  # of the HMM states
    step_seconds: PositiveFloat
    sha256: Sha256


class RecordingEntry(Document):
    operation: str


class DatasetDocument(Document):
    """What training and scoring need of dataset.json, format gcodefp-dataset-2."""

    leaky: bool
    controller_is_input: bool
    window: WindowSettings
    split: SplitSettings
    splits: Mapping[str, SplitFile]
    channels: list[Channel] = Field(min_length=1)
    centered: bool
    zscored: bool = False
    vocabulary: VocabularyClasses
    position_mm: PositionScale
    programs: ProgramsFile
    recordings: Mapping[str, RecordingEntry]

    @model_validator(mode="after")
    def _has_all_splits(self) -> Self:
        if missing := {"train", "val", "test"} - set(self.splits):
            raise ValueError(f"splits has no {min(missing)}")
        return self


class WindowForReport(WindowSettings):
    max_gap_seconds: Finite


class SplitSettingsForReport(SplitSettings):
    held_out: Names
    seed: int | None


class SplitForReport(SplitFile):
    rows: Count
    windows: Count


class RecordingForReport(RecordingEntry):
    program: str | None
    lag_seconds: Finite | None
    rows: Count


class ExcludedRecording(Document):
    recording: str
    reason: str


class DatasetForReport(DatasetDocument):
    """What figures and page need of dataset.json besides."""

    provenance: Provenance
    groups: Names
    window: WindowForReport
    split: SplitSettingsForReport
    splits: Mapping[str, SplitForReport]
    left_out: list[ExcludedRecording]  # the excluded recordings
    recordings: Mapping[str, RecordingForReport] = Field(min_length=1)
    counts: dict[str, Count]

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for name, split in self.splits.items():
            if unknown := set(split.recordings) - set(self.recordings):
                raise ValueError(f"splits.{name} has {min(unknown)!r}, recordings has not")
        return self
