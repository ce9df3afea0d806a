"""Artifacts, their collections, manifests and files as the graph shows them."""

import json
from collections.abc import Sequence
from typing import Any

from .artifact_model import Artifact, Manifest, hexadecimal
from .execution import Node
from .model import Project, Run
from .pages import connection, stamp
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
    found = [
        made
        for made in world.artifacts.values()
        if (made.project, made.collection) == (project, collection) and made.state == "COMMITTED"
    ]
    return sorted(found, key=lambda made: made.version or 0)


def find_version(world: World, project: Project, name: str) -> Artifact | None:
    """By NAME:ALIAS, NAME:vN or NAME:DIGEST; the newest for NAME."""
    collection, _, alias = name.partition(":")
    for made in versions(world, project, collection):
        if (alias or "latest") in (*made.aliases, f"v{made.version}", made.digest):
            return made
    return None


def collection_node(world: World, made: Artifact) -> Node:
    """The collection of an artifact."""
    of_type = Node("ArtifactType", {"id": f"ArtifactType:{made.type}", "name": made.type})

    def membership(alias_name: str) -> Node | None:
        found = find_version(world, made.project, f"{made.collection}:{alias_name}")
        return None if found is None else membership_node(world, found)

    def newest() -> Node | None:
        existing = versions(world, made.project, made.collection)
        return artifact_node(world, existing[-1]) if existing else None

    def artifacts(after: str | None = None, first: int | None = None, **_: Any) -> Node:
        existing = versions(world, made.project, made.collection)[::-1]
        return connection(
            existing,
            lambda one: artifact_node(world, one),
            after,
            first,
            lambda one: {"version": f"v{one.version}"},
        )

    fields = {
        "id": f"ArtifactCollection:{made.project.number}/{made.collection}",
        "name": made.collection,
        "description": None,
        "createdAt": stamp(made.created),
        "updatedAt": None,
        "state": "READY",
        "digestAlgorithm": made.algorithm,
        "project": project_info(made.project),
        "defaultArtifactType": of_type,
        "tags": connection([], lambda tag: tag),
        "latestArtifact": newest,
        "artifactMembership": membership,
        "artifacts": artifacts,
    }
    return Node("ArtifactSequence", fields, ("ArtifactCollection",))


def membership_node(world: World, made: Artifact) -> Node:
    """An artifact's place in its collection."""
    fields = {
        "id": f"ArtifactMembership:{made.number}",
        "versionIndex": made.version,
        "createdAt": stamp(made.created),
        "aliases": [alias_node(world, made, alias) for alias in made.aliases],
        "artifactCollection": collection_node(world, made),
        "artifact": artifact_node(world, made),
        "files": _files(world, made),
    }
    return Node("ArtifactCollectionMembership", fields)


def alias_node(world: World, made: Artifact, alias: str) -> Node:
    """An alias of an artifact."""
    fields = {
        "id": f"ArtifactAlias:{made.number}/{alias}",
        "alias": alias,
        "artifactCollection": lambda: collection_node(world, made),
    }
    return Node("ArtifactAlias", fields)


def artifact_node(world: World, made: Artifact) -> Node:
    """One version of a collection."""
    fields = {
        "id": made.id,
        "state": made.state,
        "versionIndex": made.version,
        "description": made.description,
        "metadata": json.dumps(made.metadata),
        "digest": made.digest,
        "digestAlgorithm": made.algorithm,
        "commitHash": f"{made.number:020x}",
        "ttlDurationSeconds": -2,
        "ttlIsInherited": True,
        "tags": [],
        "historyStep": made.history_step,
        "size": sum(map(len, made.files.values())),
        "fileCount": len(made.files),
        "createdAt": stamp(made.created),
        "updatedAt": None,
        "artifactType": Node("ArtifactType", {"name": made.type}),
        "aliases": lambda **_: [alias_node(world, made, alias) for alias in made.aliases],
        "artifactSequence": lambda: collection_node(world, made),
        "artifactMemberships": lambda: connection([made], lambda one: membership_node(world, one)),
        "currentManifest": lambda: manifest_node(world, made.manifests[-1]),
        "createdBy": lambda: _run_info(_creator(world, made)),
        "usedBy": lambda: connection([], _run_info),
        "files": _files(world, made),
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


def _files(world: World, made: Artifact) -> Any:
    def listed(
        names: Sequence[str] = (), after: str | None = None, first: int | None = None
    ) -> Node:
        pairs = [(name, digest) for name, digest in made.digests.items()]
        wanted = [pair for pair in pairs if not names or pair[0] in names]
        return connection(wanted, lambda pair: file_of_artifact(world, *pair), after, first)

    return listed


def _creator(world: World, made: Artifact) -> Run | None:
    return next((run for run in world.runs.values() if run.path == made.run), None)


def _run_info(run: Run | None) -> Node | None:
    if run is None:
        return None
    return Node("Run", {"id": run.id, "name": run.name, "project": project_info(run.project)})
