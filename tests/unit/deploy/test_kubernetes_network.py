"""Who may talk to whom in a cluster: as on compose's networks, plus what a cluster needs, and nothing else."""

from pathlib import Path

import pytest

from tests.unit.deploy.kubernetes import COMPONENT, NAME, TREES, containers, name_of, named, of_kind, pods
from tests.unit.deploy.network_policies import Edge, Party, edges
from tests.unit.deploy.test_containers import DEPENDENCIES, NEVER
from tests.unit.deploy.test_containers import SERVICES as COMPOSE
from tools.paths import KUBERNETES
from tools.services import METRICS, SERVICES

EVERYTHING = KUBERNETES / "tests/everything"
WEB = {service.name: str(service.port) for service in SERVICES}
PORTS = {**WEB, "mongodb": "27017", "rabbitmq": "5672"}
METRICS_PORT = "9464"
BETWEEN_NODES = ("4369", "25672", "35672-35682")
OUTSIDE = [
    Party("gateway", "gateway"),
    Party("prometheus", "monitoring", {NAME: "prometheus"}),
    Party("another pod there", "monitoring"),
    Party("keda", "keda"),
    Party("rabbitmq-operator", "rabbitmq-system"),
    Party("dns", "kube-system", {"k8s-app": "kube-dns"}),
    Party("another namespace", "default", {NAME: "prometheus", "k8s-app": "kube-dns"}),
    Party("internet", "", address="203.0.113.7"),
    Party("cluster's network", "", address="10.0.0.1"),
]
OF_COMPOSE: set[Edge] = {
    (one, other, PORTS[other]) for one, others in DEPENDENCIES.items() for other in others if one != "gateway"
}
OF_COMPOSE |= {("provisioning", "rabbitmq", "15672")}  # compose's networks have no ports
OF_COMPOSE |= {("gateway", name, port) for name, port in WEB.items()} | {("gateway", "storefront", "8080")}
LEADING_OUT = {"payment": {"443"}, "mail": {"465", "587"}}  # compose's networks to servers elsewhere
OF_COMPOSE |= {
    (name, "internet", port)
    for name in COMPOSE
    for network, ports in LEADING_OUT.items()
    if network in COMPOSE[name]["networks"]
    for port in ports
}
OF_THE_CLUSTER: set[Edge] = {
    *(("prometheus", name, port) for name, port in WEB.items()),
    *(("prometheus", name, METRICS_PORT) for name in METRICS),
    ("prometheus", "rabbitmq", "15692"),
    ("keda", "rabbitmq", "5672"),
    ("rabbitmq-operator", "rabbitmq", "15672"),
    *(("rabbitmq", "rabbitmq", port) for port in BETWEEN_NODES),
    ("mongodb", "mongodb", "27017"),
    *(("mongodb", outside.name, port) for outside in OUTSIDE for port in ("443", "6443")),  # Kubernetes' API is there
    *((name, "mongodb", "27017") for name in ("backup", "restore", "reconcile")),
    *((name, "rabbitmq", "5672") for name in ("restore", "reconcile")),  # to empty queues; to count dead letters
    *(("reconcile", name, WEB[name]) for name in ("user-service", "product-service")),
    ("reconcile", "internet", "443"),  # it asks the payment provider, as the worker does
}


def parties(tree: Path) -> list[Party]:
    """Return our pods, the servers whose pods are made by operators, and the others."""
    ours = {pod["metadata"]["labels"][NAME]: pod for _, pod in pods(tree)}
    made = [
        Party(
            name,
            labels=pod["metadata"]["labels"],
            ports={port["name"]: port["containerPort"] for each in containers(pod) for port in each.get("ports", [])},
        )
        for name, pod in ours.items()
    ]
    operators = [Party(name, labels={NAME: name}) for name in ("mongodb", "rabbitmq") if name not in ours]
    return [*made, *operators, *OUTSIDE]


def to_dns(tree: Path) -> set[Edge]:
    return {(each.name, "dns", port) for each in parties(tree) if each.is_ours for port in ("53", "53/UDP")}


def test_the_allowed_connections_are_those_of_compose_and_what_a_cluster_needs() -> None:
    found = edges(of_kind(EVERYTHING, "NetworkPolicy"), parties(EVERYTHING))
    assert found == OF_COMPOSE | OF_THE_CLUSTER | to_dns(EVERYTHING)


@pytest.mark.parametrize("name", [each["metadata"]["name"] for each in of_kind(EVERYTHING, "NetworkPolicy")])
def test_no_policy_can_be_left_out(name: str) -> None:
    policies = of_kind(EVERYTHING, "NetworkPolicy")
    fewer = [each for each in policies if each["metadata"]["name"] != name]
    assert len(fewer) == len(policies) - 1
    assert edges(fewer, parties(EVERYTHING)) != edges(policies, parties(EVERYTHING))


@pytest.mark.parametrize("tree", TREES, ids=name_of)
def test_no_tree_allows_more_and_each_allows_what_the_shop_needs(tree: Path) -> None:
    found = edges(of_kind(tree, "NetworkPolicy"), parties(tree))
    assert found <= OF_COMPOSE | OF_THE_CLUSTER | to_dns(tree)
    assert {edge for edge in OF_COMPOSE if edge[0] != "gateway"} | to_dns(tree) <= found


@pytest.mark.parametrize("tree", TREES, ids=name_of)
def test_what_no_policy_allows_is_denied_both_ways(tree: Path) -> None:
    everything = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert named(tree, "NetworkPolicy", "default-deny")["spec"] == everything


def test_programs_that_share_no_network_of_compose_are_apart_in_a_cluster_as_well() -> None:
    found = {(one, other) for one, other, _ in edges(of_kind(EVERYTHING, "NetworkPolicy"), parties(EVERYTHING))}
    assert found & set(NEVER) == set()


def test_every_pod_says_what_it_is() -> None:
    kinds = {"web", "background", "job", "page", "server"}
    assert {pod["metadata"]["labels"][COMPONENT] for tree in TREES for _, pod in pods(tree)} == kinds
