"""The life of an artifact: created, its files and its manifest uploaded, committed, used."""

import json
from collections.abc import Mapping
from typing import Any

from .artifact_model import Artifact, Manifest, hexadecimal, read_entries
from .artifact_nodes import artifact_node, file_of_artifact, manifest_node, versions
from .execution import ApiError, Node
from .model import StoredFile
from .world import World

Payload = Mapping[str, Any]


def create(world: World, payload: Payload) -> Node:
    """createArtifact: a pending version."""
    entity, name = payload.get("entityName"), payload.get("projectName")
    project = world.make_project(entity, name, "createArtifact")
    collection = _collection(payload)
    run = world.find_run(project, payload.get("runName") or "")
    number, digest = world.number(), payload["digest"]
    artifact = Artifact(project, collection, payload["artifactTypeName"], number, digest)
    artifact.aliases = _aliases(payload)
    artifact.algorithm = payload.get("digestAlgorithm") or artifact.algorithm
    artifact.metadata = json.loads(payload.get("metadata") or "{}")
    artifact.description = payload.get("description")
    artifact.client_id = payload.get("clientID")
    artifact.history_step = payload.get("historyStep")
    world.artifacts[artifact.id] = artifact
    if run is not None:
        artifact.run = run.path
        run.logged = [*(one for one in run.logged if one != artifact.id), artifact.id]
    return Node("CreateArtifactPayload", {"artifact": artifact_node(world, artifact)})


def _collection(payload: Payload) -> str:
    names = payload.get("artifactCollectionNames") or [payload.get("artifactCollectionName")]
    return str(names[0])


def _aliases(payload: Payload) -> list[str]:
    return [alias["alias"] for alias in payload.get("aliases") or []]


def _point(world: World, artifact: Artifact, aliases: list[str]) -> None:
    """Moves aliases of the collection to this version."""
    for other in versions(world, artifact.project, artifact.collection):
        other.aliases = [alias for alias in other.aliases if alias not in aliases]
    artifact.aliases.extend(alias for alias in aliases if alias not in artifact.aliases)


def by_id(world: World, identity: str | None) -> Artifact:
    """The artifact with an id, the client's own ids included."""
    for artifact in world.artifacts.values():
        if identity and identity in (artifact.id, artifact.client_id):
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
    for name, entry in read_entries(manifest.content).items():
        blob = world.blobs.get(f"artifacts/{hexadecimal(entry['digest'])}", StoredFile(name))
        artifact.digests[name] = entry["digest"]
        artifact.files[name] = blob.content or b""
    return Node("Payload", {"artifact": artifact_node(world, artifact)})
