"""The rules for what runs in a cluster, read from what deploy/kubernetes renders: rights, limits, disruptions."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.unit.deploy.kubernetes import (
    COMPONENT,
    DEMO,
    NAME,
    PRODUCTION,
    PROGRAMS,
    TREES,
    containers,
    matches,
    name_of,
    named,
    of_kind,
    pods,
    render,
)
from tools.paths import KUBERNETES, ROOT

WRITES_TO_ITS_IMAGE = {"rabbitmq"}  # of the demo; the operator's keeps its files elsewhere
PLACEHOLDER = "0" * 64
GRACEFUL_TIMEOUT = 25  # s; what the worker and the consumer take at most; gunicorn takes 20
EVERYTHING = KUBERNETES / "tests/everything"
OF_OPERATORS = {"mongodb-admin", "rabbitmq-default-user"}
DEMO_VALUE = re.compile(r"demo-\w|admin-password|\bguest\b")


IN_EVERY_TREE = pytest.mark.parametrize("tree", TREES, ids=name_of)


@IN_EVERY_TREE
def test_a_pod_has_no_more_rights_than_it_needs(tree: Path) -> None:
    for _, pod in pods(tree):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["runAsGroup"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert not any("hostPath" in volume for volume in spec.get("volumes", []))
        for container in containers(pod):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] is (container["name"] not in WRITES_TO_ITS_IMAGE)


@IN_EVERY_TREE
def test_a_program_of_ours_runs_as_the_user_of_its_image(tree: Path) -> None:
    for _, pod in pods(tree):
        built_as = {"shop/gateway": 101, "mongo": 999, "rabbitmq": 999}
        image = pod["spec"]["containers"][0]["image"].removeprefix("registry.example.com/").partition(":")[0]
        assert pod["spec"]["securityContext"]["runAsUser"] == built_as.get(image.partition("@")[0], 10001)
        assert "--uid 10001" in (ROOT / "deploy/Dockerfile").read_text()


@IN_EVERY_TREE
def test_a_container_says_what_it_needs_and_is_never_throttled(tree: Path) -> None:
    for _, pod in pods(tree):
        for container in containers(pod):
            resources = container["resources"]
            assert resources["requests"].keys() == {"cpu", "memory", "ephemeral-storage"}
            assert resources["limits"].keys() == {"memory", "ephemeral-storage"}
        for volume in pod["spec"].get("volumes", []):
            if "emptyDir" in volume:
                assert volume["emptyDir"]["sizeLimit"]


@IN_EVERY_TREE
def test_a_lasting_container_has_three_probes_and_only_readiness_asks_the_database(tree: Path) -> None:
    for owner, pod in pods(tree):
        if owner["kind"] in {"Job", "CronJob"}:
            continue
        (container,) = pod["spec"]["containers"]
        probes = {name: container[f"{name}Probe"] for name in ("startup", "readiness", "liveness")}
        if pod["metadata"]["labels"][COMPONENT] in {"web", "background"}:
            port = container["ports"][0]["name"]
            paths = {name: (probe["httpGet"]["path"], probe["httpGet"]["port"]) for name, probe in probes.items()}
            assert paths == {"startup": ("/health", port), "readiness": ("/ready", port), "liveness": ("/health", port)}
            assert probes["readiness"]["periodSeconds"] * probes["readiness"]["failureThreshold"] > 10  # s, an election
            assert probes["startup"]["periodSeconds"] * probes["startup"]["failureThreshold"] == 60


@IN_EVERY_TREE
def test_a_pod_may_finish_what_it_has_begun(tree: Path) -> None:
    for owner, pod in pods(tree):
        if owner["kind"] != "Deployment":
            continue
        (container,) = pod["spec"]["containers"]
        serves = pod["metadata"]["labels"][COMPONENT] != "background"
        pause = container["lifecycle"]["preStop"]["sleep"]["seconds"] if serves else 0
        assert (pause >= 5) is serves
        assert pod["spec"]["terminationGracePeriodSeconds"] >= pause + GRACEFUL_TIMEOUT + 5
        assert owner["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_gunicorn_ends_within_the_time_that_its_pod_has() -> None:
    text = (ROOT / "deploy/gunicorn.conf.py").read_text()
    assert int(re.findall(r"^graceful_timeout = (\d+)", text, re.MULTILINE)[0]) <= GRACEFUL_TIMEOUT


@IN_EVERY_TREE
def test_the_programs_go_before_the_servers_and_are_spread_over_zones_and_nodes(tree: Path) -> None:
    for owner, pod in pods(tree):
        is_server = pod["metadata"]["labels"][COMPONENT] == "server"
        assert pod["spec"]["priorityClassName"] == ("shop-servers" if is_server else "shop-programs")
        if owner["kind"] == "Deployment":
            spread = pod["spec"]["topologySpreadConstraints"]
            assert [each["topologyKey"] for each in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
            assert {each["whenUnsatisfiable"] for each in spread} == {"ScheduleAnyway"}
            assert all(matches(each["labelSelector"], pod["metadata"]["labels"]) for each in spread)
            assert all(
                each["labelSelector"]["matchLabels"].keys() & {NAME} or NAME in each["matchLabelKeys"]
                for each in spread
            )


@pytest.mark.parametrize("name", ["shop-programs", "shop-servers"])
def test_a_priority_that_pods_name_exists(name: str) -> None:
    assert named(PRODUCTION, "PriorityClass", name)["value"] < 10**9  # the system's own begin there
    values = [named(PRODUCTION, "PriorityClass", each)["value"] for each in ("shop-programs", "shop-servers")]
    assert values == sorted(set(values))


@pytest.mark.parametrize("name", ["order-worker", "notification-consumer"])
def test_a_background_program_leaves_a_lost_node_after_half_a_minute(name: str) -> None:
    tolerations = named(PRODUCTION, "Deployment", name)["spec"]["template"]["spec"]["tolerations"]
    assert {each["key"]: each["tolerationSeconds"] for each in tolerations} == {
        "node.kubernetes.io/unreachable": 30,
        "node.kubernetes.io/not-ready": 30,
    }


@IN_EVERY_TREE
def test_every_selector_selects_the_pods_of_its_name_only(tree: Path) -> None:
    labels = [pod["metadata"]["labels"] for _, pod in pods(tree)]
    for resource in of_kind(tree, "Deployment", "StatefulSet", "Service", "PodDisruptionBudget"):
        selector = resource["spec"]["selector"]
        name = resource["metadata"]["name"]
        if resource["kind"] == "Service":
            selector = {"matchLabels": selector}
        selected = {each[NAME] for each in labels if matches(selector, each)}
        assert selected == {name} or (not selected and name in {"mongodb", "rabbitmq"})  # those are the operators'


@IN_EVERY_TREE
def test_every_port_of_a_service_and_of_a_probe_exists(tree: Path) -> None:
    ports = {
        pod["metadata"]["labels"][NAME]: {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for _, pod in pods(tree)
        for container in pod["spec"]["containers"]
    }
    for service in of_kind(tree, "Service"):
        known = ports[service["metadata"]["name"]]
        assert all(known[each.get("targetPort", each["name"])] == each["port"] for each in service["spec"]["ports"])
    for _, pod in pods(tree):
        for container in pod["spec"]["containers"]:
            probes = [probe for key, probe in container.items() if key.endswith("Probe")]
            used = {(probe.get("httpGet") or probe.get("tcpSocket"))["port"] for probe in probes}
            assert used <= ports[pod["metadata"]["labels"][NAME]].keys()


@IN_EVERY_TREE
def test_every_deployment_can_lose_one_pod_at_a_time_to_maintenance(tree: Path) -> None:
    for deployment in of_kind(tree, "Deployment"):
        budget = named(tree, "PodDisruptionBudget", deployment["metadata"]["name"])["spec"]
        assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
        assert "minAvailable" not in budget


@pytest.mark.parametrize("tree", [tree for tree in TREES if tree != DEMO], ids=name_of)
def test_there_are_two_copies_of_everything_and_one_owner_of_their_number(tree: Path) -> None:
    least = {each["metadata"]["name"]: each["spec"]["minReplicas"] for each in of_kind(tree, "HorizontalPodAutoscaler")}
    least |= {each["metadata"]["name"]: each["spec"]["minReplicaCount"] for each in of_kind(tree, "ScaledObject")}
    for deployment in of_kind(tree, "Deployment"):
        name = deployment["metadata"]["name"]
        assert (name in least) is ("replicas" not in deployment["spec"])
        assert least.get(name, deployment["spec"].get("replicas")) == 2
    assert len(least) == 5


def test_an_autoscaler_grows_quickly_and_shrinks_slowly() -> None:
    for autoscaler in of_kind(PRODUCTION, "HorizontalPodAutoscaler"):
        spec = autoscaler["spec"]
        named(PRODUCTION, "Deployment", spec["scaleTargetRef"]["name"])
        assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
        assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300
        assert spec["maxReplicas"] > spec["minReplicas"]


def test_with_keda_the_consumer_has_one_autoscaler() -> None:
    tree = KUBERNETES / "tests/keda"
    (scaled,) = of_kind(tree, "ScaledObject")
    names = {each["metadata"]["name"] for each in of_kind(tree, "HorizontalPodAutoscaler")}
    assert scaled["spec"]["scaleTargetRef"]["name"] == "notification-consumer"
    (trigger,) = scaled["spec"]["triggers"]
    topology = json.loads((ROOT / "contracts/topology.json").read_text())
    assert trigger["metadata"]["queueName"] in {queue["name"] for queue in topology["queues"]}
    assert (trigger["type"], trigger["metadata"]["mode"]) == ("rabbitmq", "QueueLength")
    assert "notification-consumer" not in names


def test_the_demo_runs_one_of_everything() -> None:
    assert of_kind(DEMO, "HorizontalPodAutoscaler") == []
    assert {each["spec"].get("replicas", 1) for each in of_kind(DEMO, "Deployment", "StatefulSet")} == {1}


@IN_EVERY_TREE
def test_the_namespace_admits_restricted_pods_only_and_everything_is_in_it(tree: Path) -> None:
    labels = named(tree, "Namespace", "shop")["metadata"]["labels"]
    modes = {f"pod-security.kubernetes.io/{mode}" for mode in ("enforce", "audit", "warn")}
    assert {labels[mode] for mode in modes} == {"restricted"}
    outside = {each["kind"] for each in render(tree) if each["metadata"].get("namespace") != "shop"}
    assert outside == {"Namespace", "PriorityClass"}


@IN_EVERY_TREE
def test_every_pod_has_an_account_of_its_own_without_a_token(tree: Path) -> None:
    accounts = {each["metadata"]["name"]: each for each in of_kind(tree, "ServiceAccount")}
    assert {each["automountServiceAccountToken"] for each in accounts.values()} == {False}
    used = [
        pod["spec"]["serviceAccountName"] for _, pod in pods(tree) if pod["metadata"]["labels"][COMPONENT] != "server"
    ]
    assert sorted(used) == sorted(accounts)


@IN_EVERY_TREE
def test_every_configmap_and_claim_that_a_pod_names_exists(tree: Path) -> None:
    maps = {each["metadata"]["name"] for each in of_kind(tree, "ConfigMap")}
    claims = {each["metadata"]["name"] for each in of_kind(tree, "PersistentVolumeClaim")}
    for _, pod in pods(tree):
        for container in containers(pod):
            assert {
                each["configMapRef"]["name"] for each in container.get("envFrom", []) if "configMapRef" in each
            } <= maps
        volumes = pod["spec"].get("volumes", [])
        claimed = {each["persistentVolumeClaim"]["claimName"] for each in volumes if "persistentVolumeClaim" in each}
        assert claimed <= claims
        own = {each["metadata"]["name"] for each in _.get("spec", {}).get("volumeClaimTemplates", [])}
        mounted = {mount["name"] for container in containers(pod) for mount in container.get("volumeMounts", [])}
        assert mounted == {each["name"] for each in volumes} | own


def test_an_image_has_a_digest_in_production_and_a_version_in_the_demo() -> None:
    images = {container["image"] for _, pod in pods(PRODUCTION) for container in containers(pod)}
    images.add(named(PRODUCTION, "RabbitmqCluster", "rabbitmq")["spec"]["image"])
    assert all(re.fullmatch(rf"[a-z./-]+@sha256:{PLACEHOLDER}", image) for image in images)
    assert all(image.startswith(("registry.example.com/shop/", "mongo@", "rabbitmq@")) for image in images)
    for _, pod in pods(DEMO):
        for container in containers(pod):
            assert re.fullmatch(r"shop/[a-z-]+:demo|(mongo|rabbitmq):\d+\.\d+(-management)?", container["image"])


def test_the_demo_runs_the_servers_of_compose() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name in ("mongodb", "rabbitmq"):
        (container,) = named(DEMO, "StatefulSet", name)["spec"]["template"]["spec"]["containers"]
        assert container["image"] == compose[name]["image"]
    (mongodb,) = named(DEMO, "StatefulSet", "mongodb")["spec"]["template"]["spec"]["containers"]
    assert mongodb["args"] == compose["mongodb"]["command"]
    assert mongodb["command"] == [text.replace("$$", "$") for text in compose["mongodb"]["entrypoint"]]
    assert named(PRODUCTION, "RabbitmqCluster", "rabbitmq")["spec"]["image"].startswith("rabbitmq@")


def test_mongodb_of_the_cluster_frees_products_soon_and_logs_no_queries() -> None:
    settings = named(PRODUCTION, "MongoDBCommunity", "mongodb")["spec"]["additionalMongodConfig"]
    assert settings == {
        "setParameter.transactionLifetimeLimitSeconds": 10,
        "operationProfiling.slowOpSampleRate": 0,
    }


@pytest.mark.parametrize("kind", ["MongoDBCommunity", "RabbitmqCluster"])
def test_a_server_has_three_members_on_three_nodes_and_loses_one_at_a_time(kind: str) -> None:
    (server,) = of_kind(PRODUCTION, kind)
    name, spec = server["metadata"]["name"], server["spec"]
    assert spec.get("members", spec.get("replicas")) == 3
    pod = spec["statefulSet"]["spec"]["template"]["spec"] if kind == "MongoDBCommunity" else spec
    (rule,) = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule == {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {NAME: name}}}
    assert named(PRODUCTION, "PodDisruptionBudget", name)["spec"]["maxUnavailable"] == 1
    assert "shop-servers" in str(spec)


def test_a_secret_is_in_the_demo_only_and_a_well_known_one() -> None:
    for tree in TREES:
        assert bool(of_kind(tree, "Secret")) is (tree == DEMO)
    compose = (ROOT / "docker-compose.yml").read_text()
    text = (DEMO / "kustomization.yaml").read_text()
    values = {*re.findall(r":([\w-]+)@", text), *re.findall(r"(?:PASS|PASSWORD|SECRET)=([\w-]+)", text)}
    assert len(values) == 11
    assert all(f":-{value}}}" in compose for value in values)
    for file in sorted(KUBERNETES.rglob("*.yaml")):
        if not file.is_relative_to(DEMO):
            assert not DEMO_VALUE.search(file.read_text()), file


def test_the_programs_are_those_of_compose() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name in PROGRAMS:
        kind = "Job" if name == "provisioning" else "Deployment"
        (container,) = named(DEMO, kind, name)["spec"]["template"]["spec"]["containers"]
        assert container.get("command") == compose[name].get("command")
        build = compose[name]["build"]
        assert container["image"] == f"shop/{build.get('target') or build['args']['SERVICE']}:demo"
