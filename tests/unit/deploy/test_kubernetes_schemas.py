"""Every tree of deploy/kubernetes renders, and each resource fits its schema in four versions of Kubernetes."""

import copy
import json
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from jsonschema import Draft202012Validator
from kubernetes_validate import utils

from tests.unit.deploy.kubernetes import PRODUCTION, TREES, Resource, name_of, named, render
from tools.kubernetes import crds
from tools.paths import KUBERNETES

VERSIONS = ("1.34", "1.35", "1.36", "1.37")
NEEDS_GO = pytest.mark.skipif(not shutil.which("go"), reason="RabbitMQ's definition is downloaded with Go")
GATEWAY = "gateway.networking.k8s.io.v1.Gateway"  # the cluster has it; docs/kubernetes.md shows one
BUILT_IN = {
    *("v1", "apps/v1", "batch/v1", "autoscaling/v2", "policy/v1"),
    *("networking.k8s.io/v1", "scheduling.k8s.io/v1"),
}
RABBITMQ = "rabbitmq.com.v1beta1.RabbitmqCluster"


@pytest.fixture(autouse=True, scope="module")
def _read_schemas_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", cache(utils.schema_contents))
        yield


def schema_name(resource: Resource) -> str:
    return f"{resource['apiVersion'].replace('/', '.')}.{resource['kind']}"


def is_custom(resource: Resource) -> bool:
    return resource["apiVersion"] not in BUILT_IN


def distinct(*, custom: bool) -> list[Resource]:
    """Return what all trees render, each resource once."""
    every = {json.dumps(resource, sort_keys=True) for tree in TREES for resource in render(tree)}
    return [resource for text in sorted(every) if is_custom(resource := json.loads(text)) is custom]


@cache
def custom_schemas() -> dict[str, Any]:
    return {file.stem: json.loads(file.read_text()) for file in sorted(crds.FOLDER.glob("*.json"))}


@cache
def rabbitmq_schema() -> Any:
    (source,) = (source for source in crds.SOURCES if source.licence != crds.APACHE)
    return dict(crds.schemas(source))[RABBITMQ]


def faults(resource: Resource, schema: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(resource)]


@pytest.mark.parametrize("tree", TREES, ids=name_of)
def test_a_tree_renders_and_names_nothing_twice(tree: Path) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in render(tree)]
    assert len(names) > 30
    assert len(set(names)) == len(names)


def test_every_component_is_in_a_combination_of_its_own_and_in_the_one_of_everything() -> None:
    components = {path.name for path in (KUBERNETES / "components").iterdir()}
    everything = (KUBERNETES / "tests/everything/kustomization.yaml").read_text()
    assert {name for name in components if f"components/{name}\n" in everything} == components
    assert {path.name for path in (KUBERNETES / "tests").iterdir()} == {*components, "everything"}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_resource_fits_the_schema_of_kubernetes(version: str) -> None:
    assert [kubernetes_validate.validate(each, version, strict=True) for each in distinct(custom=False)]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_field_that_kubernetes_does_not_know_is_noticed(version: str) -> None:
    deployment = copy.deepcopy(named(PRODUCTION, "Deployment", "order-service"))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["readyProbe"] = container.pop("readinessProbe")
    with pytest.raises(kubernetes_validate.ValidationError, match="readyProbe"):
        kubernetes_validate.validate(deployment, version, strict=True)


def test_every_custom_resource_fits_the_definition_of_its_operator() -> None:
    resources = [each for each in distinct(custom=True) if schema_name(each) != RABBITMQ]
    assert {schema_name(each) for each in resources} == custom_schemas().keys() - {GATEWAY}
    for each in resources:
        assert faults(each, custom_schemas()[schema_name(each)]) == []


@NEEDS_GO
def test_the_broker_fits_the_definition_of_its_operator() -> None:
    clusters = [each for each in distinct(custom=True) if schema_name(each) == RABBITMQ]
    assert clusters
    assert [fault for each in clusters for fault in faults(each, rabbitmq_schema())] == []


@pytest.mark.parametrize(
    ("kind", "name", "field"),
    [
        ("MongoDBCommunity", "mongodb", "member"),
        ("HTTPRoute", "order-service", "hostname"),
        ("PodMonitor", "programs", "x"),
    ],
)
def test_a_field_that_an_operator_does_not_know_is_noticed(kind: str, name: str, field: str) -> None:
    resource = copy.deepcopy(named(PRODUCTION, kind, name))
    resource["spec"][field] = 1
    assert len(faults(resource, custom_schemas()[schema_name(resource)])) == 1


@NEEDS_GO
def test_the_schemas_of_the_operators_are_those_of_the_named_versions() -> None:
    made = {name: schema for source in crds.SOURCES for name, schema in crds.schemas(source)}
    assert made == {**custom_schemas(), RABBITMQ: rabbitmq_schema()}
