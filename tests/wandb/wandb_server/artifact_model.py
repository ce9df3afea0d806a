"""Artifacts: versions of collections, with manifests that list their files."""

import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any

from .model import Project


@dataclass
class Manifest:
    """A manifest of an artifact; its JSON lies under `key` once it is uploaded."""

    number: int
    digest: str
    key: str

    @property
    def id(self) -> str:
        """The graph's id."""
        return f"ArtifactManifest:{self.number}"


@dataclass
class Artifact:
    """One version of a collection.

    Attributes:
        collection: the name without version or alias.
        state: PENDING until it is committed, then COMMITTED.
        version: counted from 0 in the collection; None while pending.
        aliases: those that point at this version now; pending ones move here on commit.
        run: the path of the run that logged it.
        manifests: in the order of their creation; the last one counts.
        digests: of its files by their paths, from the manifest; filled on commit.
        files: their contents.
    """

    project: Project
    collection: str
    type: str
    number: int
    digest: str
    algorithm: str = "MANIFEST_MD5"
    created: float = field(default_factory=time.time)
    state: str = "PENDING"
    version: int | None = None
    aliases: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    description: str | None = None
    client_id: str | None = None
    run: str | None = None
    history_step: int | None = None
    manifests: list[Manifest] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The graph's id."""
        return f"Artifact:{self.number}"

    @property
    def path(self) -> str:
        """ENTITY/PROJECT/NAME:vN, without a version while pending."""
        version = "" if self.version is None else f":v{self.version}"
        return f"{self.project.entity}/{self.project.name}/{self.collection}{version}"


def hexadecimal(digest: str) -> str:
    """A manifest's base64 digest, as addresses spell it."""
    return base64.b64decode(digest).hex()


def read_entries(manifest: bytes) -> dict[str, dict[str, Any]]:
    """A manifest's entries by their paths."""
    return dict(json.loads(manifest).get("contents", {}))
