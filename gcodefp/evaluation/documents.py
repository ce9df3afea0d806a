"""What metrics.json, control.json, explanation.json and detection.json have to be."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gcodefp.dataset.document import Channel, ExcludedRecording, SplitSettings
from gcodefp.documents import Count, Document, Finite, Provenance, Share
from gcodefp.evaluation.metrics import METRICS
from gcodefp.evaluation.names import (
    BASELINE,
    CENTRE_METRICS,
    GCODEFP,
    MODEL,
    OCCLUSION_METRICS,
    PREDICTORS,
    PRIMARY,
)

PositiveCount = Annotated[int, Field(ge=1, le=10**15)]


def with_keys(needed: Iterable[str], allowed: Iterable[str] | None = None) -> AfterValidator:
    """A mapping that has some keys, and no others than `allowed`."""

    def check(mapping: dict[str, Any]) -> dict[str, Any]:
        if missing := [key for key in needed if key not in mapping]:
            raise ValueError(f"has no key {missing[0]!r}")
        if allowed and (unknown := [key for key in mapping if key not in allowed]):
            raise ValueError(f"has the unknown key {unknown[0]!r}")
        return mapping

    return AfterValidator(check)


class Range(Document):
    """`value`, `low` and `high`; all are None if there is nothing to count."""

    value: Finite | None
    low: Finite | None
    high: Finite | None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if len({self.value is None, self.low is None, self.high is None}) > 1:
            raise ValueError("value, low and high are null together")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low is above high")
        return self


class Interval(Range):
    recordings: Count


class Estimated(Interval):
    n: Count


class EstimatedShare(Estimated):
    value: Share | None


class ControlComparison(Document):
    limit: str  # the reference baseline
    score: EstimatedShare
    limit_score: EstimatedShare
    difference: Estimated
    fails: bool  # to beat it, as a control should

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        if not self.fails and None in (self.score.value, self.difference.value):
            raise ValueError("a control that leaks has a score and a difference")
        return self


class ControlContent(Document):
    control: str
    what: str
    fails: bool
    answers: dict[str, ControlComparison] = Field(min_length=1)
    program_answers: dict[str, ControlComparison] = Field(default_factory=dict)


class ControlDocument(ControlContent):
    """control.json, format gcodefp-control-1."""

    provenance: Provenance


class ConfusionDocument(Document):
    true: list[str] = Field(min_length=1)
    predicted: list[str] = Field(min_length=1)
    counts: list[list[Count]]

    @model_validator(mode="after")
    def _is_a_matrix(self) -> Self:
        if [len(row) for row in self.counts] != [len(self.predicted)] * len(self.true):
            raise ValueError("counts has no row for each true, or no cell for each predicted class")
        return self


CentreEstimates = Annotated[dict[str, EstimatedShare], with_keys(CENTRE_METRICS)]


class WindowLength(Document):
    rows: PositiveCount | None
    seconds: Annotated[float, Field(gt=0, le=1e15)] | None
    models: Annotated[dict[str, CentreEstimates], with_keys((), PREDICTORS), Field(min_length=1)]


def _ascend(lengths: list[WindowLength]) -> list[WindowLength]:
    """Windows, ever longer, and whole recordings as the last entry, all of the same models."""
    for entry in lengths:
        if {entry.rows is None, entry.seconds is None} != {entry is lengths[-1]}:
            raise ValueError("rows and seconds are null in its last entry, and in no other")
    seconds = [entry.seconds or 0.0 for entry in lengths[:-1]]
    if any(low >= high for low, high in pairwise(seconds)):
        raise ValueError("its windows are not in ascending order")
    if any(set(entry.models) != set(lengths[0].models) for entry in lengths):
        raise ValueError("its entries have different models")
    return lengths


MetricEstimates = Annotated[dict[str, Estimated], with_keys(METRICS)]


class EvaluatedSplit(SplitSettings):
    seed: Count
    held_out: list[str]


class DecoderDocument(Document):
    emissions: Literal["network alone", "templates alone", "network and templates"]
    network_weight: Finite
    template_weight: Finite
    val_log_score: Finite | None
    val_within_1s: Share | None
    temperature: Finite


class MetricsDocument(Document):
    """metrics.json, format gcodefp-evaluation-4."""

    provenance: Provenance
    external: str | None
    excluded: list[ExcludedRecording]
    leaky: bool
    controller_is_input: bool
    split: EvaluatedSplit
    device: str
    recordings: PositiveCount
    train_recordings: PositiveCount
    rows: PositiveCount
    segments: PositiveCount
    controls: list[ControlContent]
    models: Annotated[dict[str, MetricEstimates], with_keys(GCODEFP, PREDICTORS)]
    confusion: Annotated[dict[str, ConfusionDocument], with_keys(["operation", "command"])]
    differences: Annotated[dict[str, dict[str, Interval]], with_keys(GCODEFP)]
    decoder: DecoderDocument
    ladder: Annotated[list[WindowLength], AfterValidator(_ascend)]
    doubtful_lags: list[str]
    baselines: dict[str, dict[str, str | int | Finite | None]]

    @model_validator(mode="after")
    def _has_differences(self) -> Self:
        for name, metric in ((MODEL, "gcode"), *((name, PRIMARY) for name in GCODEFP)):
            if self.models[name][metric].value is None:
                raise ValueError(f"models.{name}.{metric}.value is null")
        baselines = {name for name in self.models if PREDICTORS[name].kind == BASELINE}
        for name in GCODEFP:
            if missing := baselines - set(self.differences[name]):
                raise ValueError(f"differences.{name} has no key {min(missing)!r}")
        return self


class ExplainedChannel(Channel):
    group: str | None
    node: str | None


OcclusionEstimates = Annotated[dict[str, EstimatedShare], with_keys(OCCLUSION_METRICS)]
OcclusionDifferences = Annotated[dict[str, Interval], with_keys(OCCLUSION_METRICS)]


class OccludedSensors(Document):
    kind: Literal["all", "group", "node"]
    name: str
    differences: OcclusionDifferences


class SensorsContent(Document):
    complete: OcclusionEstimates
    without: list[OccludedSensors] = Field(min_length=1)


class CalibrationBin(Document):
    confidence: Share
    right: EstimatedShare


class Calibration(Document):
    right: EstimatedShare
    confidence: EstimatedShare
    overconfidence: Estimated
    expected_calibration_error: EstimatedShare
    bins: list[CalibrationBin] = Field(min_length=1)


class Excerpt(Document):
    recording: str
    lag_seconds: Finite | None


class ExplanationDocument(Document):
    """explanation.json, format gcodefp-explanation-2."""

    provenance: Provenance
    device: str
    rows: PositiveCount
    zscored: bool = False
    channels: list[ExplainedChannel] = Field(min_length=1)
    sensors: SensorsContent
    calibration: Annotated[dict[str, Calibration], with_keys(GCODEFP)]
    excerpt: Excerpt


class AlarmShare(Document):
    value: Share
    low: Share
    high: Share


class DetectedKind(Document):
    copies: Count
    share_at_1: AlarmShare = Field(alias="detected_at_0.01")
    share_at_5: AlarmShare = Field(alias="detected_at_0.05")
    auroc: dict[str, Range] = Field(default_factory=dict)
    location_error_seconds: Range | None = None
    live_detected: Range | None = None
    live_delay_seconds: dict[Literal["median", "p95"], Finite | None] = Field(default_factory=dict)


class GoodRecordings(Document):
    recordings: Count
    least_rate: Share
    pooled: bool
    pooled_p: Share | None


class LiveThresholds(Document):
    false_alarms_per_hour: Finite | None


class DetectionDocument(Document):
    """detection.json, format gcodefp-detection-1."""

    provenance: Provenance
    leaky: bool
    good_recordings: Count
    calibration: GoodRecordings
    live: LiveThresholds
    kinds: dict[str, DetectedKind]
