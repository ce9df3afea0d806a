"""Artifacts, their collections, manifests and files as the graph shows them."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from .artifact_model import Artifact, Manifest, hexadecimal
from .execution import Node
from .model import Project, Run
from .pages import connection, optional, stamp
from .world import World


def project_info(project: Project) -> Node:
    """As much of a project as others show of it."""
    entity = Node("Entity", {"id": f"Entity:{project.entity}", "name": project.entity})
    fields = {
        "id": project.id,
        "internalId": str(project.number),
        "name": project.name,
        "entityName": project.entity,
        "entity": entity,
    }
    return Node("Project", fields)


def versions(world: World, project: Project, collection: str) -> list[Artifact]:
    """The committed versions of a collection, oldest first."""
    committed = [
        artifact
        for artifact in world.artifacts.values()
        if (artifact.project, artifact.collection) == (project, collection)
        and artifact.state == "COMMITTED"
    ]
    return sorted(committed, key=lambda artifact: artifact.version or 0)


def find_version(world: World, project: Project, name: str) -> Artifact | None:
    """By NAME:ALIAS, NAME:vN or NAME:DIGEST; the newest for NAME."""
    collection, _, alias = name.partition(":")
    for artifact in versions(world, project, collection):
        if (alias or "latest") in (*artifact.aliases, f"v{artifact.version}", artifact.digest):
            return artifact
    return None


def collection_node(world: World, artifact: Artifact) -> Node:
    """The collection of an artifact."""
    type_node = Node("ArtifactType", {"id": f"ArtifactType:{artifact.type}", "name": artifact.type})

    def version(alias_name: str) -> Artifact | None:
        return find_version(world, artifact.project, f"{artifact.collection}:{alias_name}")

    def artifacts(after: str | None = None, first: int | None = None, **_: Any) -> Node:
        existing = versions(world, artifact.project, artifact.collection)[::-1]
        return connection(
            existing,
            partial(artifact_node, world),
            after,
            first,
            lambda other: {"version": f"v{other.version}"},
        )

    fields = {
        "id": f"ArtifactCollection:{artifact.project.number}/{artifact.collection}",
        "name": artifact.collection,
        "description": None,
        "createdAt": stamp(artifact.created),
        "updatedAt": None,
        "state": "READY",
        "digestAlgorithm": artifact.algorithm,
        "project": project_info(artifact.project),
        "defaultArtifactType": type_node,
        "tags": connection([], lambda tag: tag),
        "latestArtifact": lambda: optional(artifact_node, world, version("latest")),
        "artifactMembership": lambda alias_name: optional(
            membership_node, world, version(alias_name)
        ),
        "artifacts": artifacts,
    }
    return Node("ArtifactSequence", fields, ("ArtifactCollection",))


def membership_node(world: World, artifact: Artifact) -> Node:
    """An artifact's place in its collection."""
    fields = {
        "id": f"ArtifactMembership:{artifact.number}",
        "versionIndex": artifact.version,
        "createdAt": stamp(artifact.created),
        "aliases": [alias_node(world, artifact, alias) for alias in artifact.aliases],
        "artifactCollection": collection_node(world, artifact),
        "artifact": artifact_node(world, artifact),
        "files": _files(world, artifact),
    }
    return Node("ArtifactCollectionMembership", fields)


def alias_node(world: World, artifact: Artifact, alias: str) -> Node:
    """An alias of an artifact."""
    fields = {
        "id": f"ArtifactAlias:{artifact.number}/{alias}",
        "alias": alias,
        "artifactCollection": lambda: collection_node(world, artifact),
    }
    return Node("ArtifactAlias", fields)


def artifact_node(world: World, artifact: Artifact) -> Node:
    """One version of a collection."""
    fields = {
        "id": artifact.id,
        "state": artifact.state,
        "versionIndex": artifact.version,
        "description": artifact.description,
        "metadata": json.dumps(artifact.metadata),
        "digest": artifact.digest,
        "digestAlgorithm": artifact.algorithm,
        "commitHash": f"{artifact.number:020x}",
        "ttlDurationSeconds": -2,
        "ttlIsInherited": True,
        "tags": [],
        "historyStep": artifact.history_step,
        "size": sum(map(len, artifact.files.values())),
        "fileCount": len(artifact.files),
        "createdAt": stamp(artifact.created),
        "updatedAt": None,
        "artifactType": Node("ArtifactType", {"name": artifact.type}),
        "aliases": lambda **_: [alias_node(world, artifact, alias) for alias in artifact.aliases],
        "artifactSequence": lambda: collection_node(world, artifact),
        "artifactMemberships": lambda: connection([artifact], partial(membership_node, world)),
        "currentManifest": lambda: manifest_node(world, artifact.manifests[-1]),
        "createdBy": lambda: optional(_run_info, _creator(world, artifact)),
        "usedBy": lambda: connection([], _run_info),
        "files": _files(world, artifact),
        "filesByManifestEntries": lambda entries, **_: connection(
            entries, lambda entry: file_of_artifact(world, entry["name"], entry["digest"])
        ),
    }
    return Node("Artifact", fields)


def manifest_node(world: World, manifest: Manifest) -> Node:
    """A manifest with the addresses of its file."""
    address = f"{world.base_url}/storage/{manifest.key}"
    fields = {"id": f"File:{manifest.key}", "directUrl": address, "uploadUrl": address}
    file = Node("File", {**fields, "uploadHeaders": []})
    return Node("ArtifactManifest", {"id": manifest.id, "digest": manifest.digest, "file": file})


def file_of_artifact(world: World, name: str, digest: str) -> Node:
    """A file by its digest: artifacts with equal files share them."""
    key = f"artifacts/{hexadecimal(digest)}"
    address = f"{world.base_url}/storage/{key}"
    content = world.blobs.get(key)
    size = len(content.content or b"") if content is not None else 0
    fields = {
        "id": f"File:{key}/{name}",
        "name": name,
        "displayName": name,
        "url": address,
        "directUrl": address,
        "storagePath": key,
        "sizeBytes": size,
        "mimetype": None,
        "updatedAt": None,
        "digest": digest,
        "md5": digest,
    }
    return Node("File", fields)


def _files(world: World, artifact: Artifact) -> Any:
    def listed(
        names: Sequence[str] = (), after: str | None = None, first: int | None = None
    ) -> Node:
        pairs = [pair for pair in artifact.digests.items() if not names or pair[0] in names]
        return connection(pairs, lambda pair: file_of_artifact(world, *pair), after, first)

    return listed


def _creator(world: World, artifact: Artifact) -> Run | None:
    return next((run for run in world.runs.values() if run.path == artifact.run), None)


def _run_info(run: Run) -> Node:
    return Node("Run", {"id": run.id, "name": run.name, "project": project_info(run.project)})
