"""Artifacts: their lives, from creation to use, and their collections as the graph shows them."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from .execution import ApiError, Node
from .model import Artifact, Manifest, Project, StoredFile
from .pages import connection, optional, stamp
from .world import World

Payload = Mapping[str, Any]


def hexadecimal(digest: str) -> str:
    """A manifest's base64 digest, as addresses spell it."""
    return base64.b64decode(digest).hex()


def project_info(project: Project) -> Node:
    """As much of a project as others show of it."""
    entity = Node("Entity", {"id": f"Entity:{project.entity}", "name": project.entity})
    fields = {
        "id": project.id,
        "internalId": str(project.number),
        "name": project.name,
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

    def version(alias_name: str) -> Artifact | None:
        return find_version(world, artifact.project, f"{artifact.collection}:{alias_name}")

    fields = {
        "name": artifact.collection,
        "project": project_info(artifact.project),
        "latestArtifact": lambda: optional(artifact_node, world, version("latest")),
        "artifactMembership": lambda alias_name: optional(
            membership_node, world, version(alias_name)
        ),
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
        "description": artifact.about.get("description"),
        "metadata": artifact.about.get("metadata") or "{}",
        "digest": artifact.digest,
        "digestAlgorithm": artifact.about.get("digestAlgorithm") or "MANIFEST_MD5",
        "commitHash": f"{artifact.number:020x}",
        "ttlDurationSeconds": -2,
        "ttlIsInherited": True,
        "tags": [],
        "historyStep": artifact.about.get("historyStep"),
        "size": sum(map(len, artifact.files.values())),
        "fileCount": len(artifact.files),
        "createdAt": stamp(artifact.created),
        "updatedAt": None,
        "artifactType": Node("ArtifactType", {"name": artifact.type}),
        "aliases": lambda **_: [alias_node(world, artifact, alias) for alias in artifact.aliases],
        "artifactSequence": lambda: collection_node(world, artifact),
        "currentManifest": lambda: manifest_node(world, artifact.manifests[-1]),
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
    fields = {"id": f"File:{key}/{name}", "name": name, "storagePath": key}
    return Node("File", {**fields, "directUrl": f"{world.base_url}/storage/{key}"})


def _files(world: World, artifact: Artifact) -> Any:
    def listed(
        names: Sequence[str] = (), after: str | None = None, first: int | None = None
    ) -> Node:
        pairs = [pair for pair in artifact.digests.items() if not names or pair[0] in names]
        return connection(pairs, lambda pair: file_of_artifact(world, *pair), after, first)

    return listed


# Mutations.


def create(world: World, payload: Payload) -> Node:
    """createArtifact: a pending version."""
    entity, name = payload.get("entityName"), payload.get("projectName")
    project = world.make_project(entity, name, "createArtifact")
    names = payload.get("artifactCollectionNames") or [payload.get("artifactCollectionName")]
    run = world.find_run(project, payload.get("runName") or "")
    number, digest = world.number(), payload["digest"]
    parts = project, str(names[0]), payload["artifactTypeName"], number, digest
    artifact = Artifact(*parts, dict(payload))
    artifact.aliases = [alias["alias"] for alias in payload.get("aliases") or []]
    world.artifacts[artifact.id] = artifact
    if run is not None:
        run.logged = [*(one for one in run.logged if one != artifact.id), artifact.id]
    return Node("CreateArtifactPayload", {"artifact": artifact_node(world, artifact)})


def _point(world: World, artifact: Artifact, aliases: list[str]) -> None:
    """Moves aliases of the collection to this version."""
    for other in versions(world, artifact.project, artifact.collection):
        other.aliases = [alias for alias in other.aliases if alias not in aliases]
    artifact.aliases.extend(alias for alias in aliases if alias not in artifact.aliases)


def by_id(world: World, identity: str | None) -> Artifact:
    """The artifact with an id, the client's own ids included."""
    for artifact in world.artifacts.values():
        if identity and identity in (artifact.id, artifact.about.get("clientID")):
            return artifact
    raise ApiError(f"artifact not found: {identity}", status=404)


def create_manifest(world: World, payload: Payload) -> Node:
    """createArtifactManifest: where the manifest goes."""
    artifact = by_id(world, payload["artifactID"])
    number = world.number()
    manifest = Manifest(number, payload.get("digest") or "", f"manifests/{number}.json")
    artifact.manifests.append(manifest)
    return Node("Payload", {"artifactManifest": manifest_node(world, manifest)})


def create_files(world: World, payload: Payload) -> Node:
    """createArtifactFiles: where the files go; none for files that are there already."""
    edges = []
    for requested in payload["artifactFiles"]:
        file = file_of_artifact(world, requested["name"], requested["md5"])
        key = f"artifacts/{hexadecimal(requested['md5'])}"
        address = None if key in world.blobs else f"{world.base_url}/storage/{key}"
        artifact = by_id(world, requested["artifactID"])
        more: dict[str, Any] = {
            "uploadUrl": address,
            "uploadHeaders": [],
            "uploadMultipartUrls": None,
            "artifact": artifact_node(world, artifact),
        }
        edges.append(Node("Edge", {"node": Node("File", {**file.fields, **more})}))
    return Node("Payload", {"files": Node("Files", {"edges": edges})})


def commit(world: World, artifact_id: str) -> Node:
    """commitArtifact: the version counts from now on, and takes its aliases over."""
    artifact = by_id(world, artifact_id)
    manifest = world.blobs.get(artifact.manifests[-1].key) if artifact.manifests else None
    if manifest is None or manifest.content is None:
        raise ApiError("artifact manifest has not been uploaded", status=400)
    if artifact.state == "PENDING":
        aliases, artifact.aliases = artifact.aliases, []
        artifact.version = len(versions(world, artifact.project, artifact.collection))
        artifact.state = "COMMITTED"
        _point(world, artifact, [*aliases, "latest"])
    for name, entry in json.loads(manifest.content).get("contents", {}).items():
        blob = world.blobs.get(f"artifacts/{hexadecimal(entry['digest'])}", StoredFile(name))
        artifact.digests[name] = entry["digest"]
        artifact.files[name] = blob.content or b""
    return Node("Payload", {"artifact": artifact_node(world, artifact)})
