"""Which connections NetworkPolicies allow, by the rules of https://kubernetes.io/docs/concepts/services-networking."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from tests.unit.deploy.kubernetes import Resource, matches

Edge = tuple[str, str, str]
NAMESPACE = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Party:
    """A kind of pod, or something outside the cluster, which has an address and no namespace."""

    name: str
    namespace: str = "shop"
    labels: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    address: str = ""

    @property
    def is_ours(self) -> bool:
        """Return whether the policies are about it; others are bound by policies of their own."""
        return self.namespace == "shop"


def edges(policies: Sequence[Resource], parties: Sequence[Party]) -> set[Edge]:
    """Return each allowed connection as (from, to, port); a port is `53/UDP`, `5672` or `35672-35682`."""
    outgoing = {each.name: _rules(policies, "Egress", each) for each in parties}
    incoming = {each.name: _rules(policies, "Ingress", each) for each in parties}
    return {
        (source.name, target.name, port)
        for target in parties
        for source in parties
        if source.is_ours or target.is_ours
        for port in _admitted(outgoing[source.name], "to", target, target)
        & _admitted(incoming[target.name], "from", source, target)
    }


def _rules(policies: Sequence[Resource], direction: str, own: Party) -> list[Resource]:
    """Return the rules for one end. An end without a policy has a rule for everything that some rule names."""
    of_own = [each["spec"] for each in policies if own.is_ours and matches(each["spec"]["podSelector"], own.labels)]
    if isolating := [spec for spec in of_own if direction in spec["policyTypes"]]:
        return [rule for spec in isolating for rule in spec.get(direction.lower(), [])]
    every = (rule for policy in policies for key in ("ingress", "egress") for rule in policy["spec"].get(key, []))
    return [{"ports": [port for rule in every for port in rule["ports"]]}]


def _admitted(rules: Sequence[Resource], key: str, other: Party, target: Party) -> set[str]:
    """Return the ports that the rules of one end admit towards or from the other end."""
    return {_port_name(port, target) for rule in rules if _names(rule, key, other) for port in rule["ports"]} - {""}


def _port_name(port: Resource, target: Party) -> str:
    number = target.ports.get(port["port"], "") if isinstance(port["port"], str) else port["port"]
    last = f"-{port['endPort']}" if "endPort" in port else ""
    return f"{number}{last}" + (f"/{port['protocol']}" if port.get("protocol", "TCP") != "TCP" else "")


def _names(rule: Resource, key: str, other: Party) -> bool:
    """Return whether a rule is about the other end. Without a list of peers it is about everybody."""
    return key not in rule or any(_is_peer(peer, other) for peer in rule[key])


def _is_peer(peer: Any, other: Party) -> bool:
    if "ipBlock" in peer:
        return bool(other.address) and _contains(peer["ipBlock"], other.address)
    if other.address:
        return False
    namespace = peer.get("namespaceSelector", {"matchLabels": {NAMESPACE: "shop"}})
    return matches(namespace, {NAMESPACE: other.namespace}) and matches(peer.get("podSelector", {}), other.labels)


def _contains(block: Resource, address: str) -> bool:
    inside: Iterator[bool] = (ip_address(address) in ip_network(each) for each in block.get("except", []))
    return ip_address(address) in ip_network(block["cidr"]) and not any(inside)
