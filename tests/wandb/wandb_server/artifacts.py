"""The life of an artifact: created, its files and its manifest uploaded, committed, used."""

import json
from collections.abc import Mapping
from typing import Any

from .artifact_model import Artifact, Manifest, hexadecimal, read_entries
from .artifact_nodes import (
    artifact_node,
    file_of_artifact,
    manifest_node,
    versions,
)
from .execution import ApiError, Node
from .model import StoredFile
from .world import World

Assignment = Mapping[str, Any]


def create(world: World, given: Assignment) -> Node:
    """createArtifact: a pending version."""
    entity, name = given.get("entityName"), given.get("projectName")
    project = world.make_project(entity, name, "createArtifact")
    collection = _collection(given)
    run = world.find_run(project, given.get("runName") or "")
    number, digest = world.number(), given["digest"]
    made = Artifact(project, collection, given["artifactTypeName"], number, digest)
    made.aliases = _aliases(given)
    made.algorithm = given.get("digestAlgorithm") or made.algorithm
    made.metadata = json.loads(given.get("metadata") or "{}")
    made.description = given.get("description")
    made.client_id = given.get("clientID")
    made.history_step = given.get("historyStep")
    world.artifacts[made.id] = made
    if run is not None:
        made.run = made.run or run.path
        run.logged = [*(one for one in run.logged if one != made.id), made.id]
    return Node("CreateArtifactPayload", {"artifact": artifact_node(world, made)})


def _collection(given: Assignment) -> str:
    names = given.get("artifactCollectionNames") or [given.get("artifactCollectionName")]
    return str(names[0])


def _aliases(given: Assignment) -> list[str]:
    return [alias["alias"] for alias in given.get("aliases") or []]


def _point(world: World, made: Artifact, aliases: list[str]) -> None:
    """Moves aliases of the collection to this version."""
    for other in versions(world, made.project, made.collection):
        other.aliases = [alias for alias in other.aliases if alias not in aliases]
    made.aliases.extend(alias for alias in aliases if alias not in made.aliases)


def by_id(world: World, identity: str | None) -> Artifact:
    """The artifact with an id, the client's own ids included."""
    for made in world.artifacts.values():
        if identity and identity in (made.id, made.client_id):
            return made
    raise ApiError(f"artifact not found: {identity}", status=404)


def create_manifest(world: World, given: Assignment) -> Node:
    """createArtifactManifest: where the manifest goes."""
    made = by_id(world, given["artifactID"])
    number = world.number()
    manifest = Manifest(number, given.get("digest") or "", f"manifests/{number}.json")
    made.manifests.append(manifest)
    return Node("Payload", {"artifactManifest": manifest_node(world, manifest)})


def create_files(world: World, given: Assignment) -> Node:
    """createArtifactFiles: where the files go; none for files that are there already."""
    edges = []
    for wanted in given["artifactFiles"]:
        file = file_of_artifact(world, wanted["name"], wanted["md5"])
        key = f"artifacts/{hexadecimal(wanted['md5'])}"
        address = None if key in world.blobs else f"{world.base_url}/storage/{key}"
        made = by_id(world, wanted["artifactID"])
        more: dict[str, Any] = {
            "uploadUrl": address,
            "uploadHeaders": [],
            "uploadMultipartUrls": None,
            "artifact": artifact_node(world, made),
        }
        edges.append(Node("Edge", {"node": Node("File", {**file.fields, **more})}))
    return Node("Payload", {"files": Node("Files", {"edges": edges})})


def commit(world: World, artifact_id: str) -> Node:
    """commitArtifact: the version counts from now on, and takes its aliases over."""
    made = by_id(world, artifact_id)
    manifest = world.blobs.get(made.manifests[-1].key) if made.manifests else None
    if manifest is None or manifest.content is None:
        raise ApiError("artifact manifest has not been uploaded", status=400)
    if made.state == "PENDING":
        aliases, made.aliases = made.aliases, []
        made.version = len(versions(world, made.project, made.collection))
        made.state = "COMMITTED"
        _point(world, made, [*aliases, "latest"])
    for name, entry in read_entries(manifest.content).items():
        blob = world.blobs.get(f"artifacts/{hexadecimal(entry['digest'])}", StoredFile(name))
        made.digests[name] = entry["digest"]
        made.files[name] = blob.content or b""
    return Node("Payload", {"artifact": artifact_node(world, made)})
