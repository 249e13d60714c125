"""docs/kubernetes.md says what is there: its paths, names and manifests exist, and the routes are those of clients."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from flask_openapi3 import OpenAPI

from chassis.auth.access import SERVICE, allowed_roles
from tests.unit.deploy.kubernetes import DEMO, PRODUCTION, TREES, matches, named, of_kind, pods, render
from tests.unit.deploy.kubernetes_page import PAGE, blocks, secrets_of_the_page
from tests.unit.deploy.test_kubernetes_environment import OF_OPERATORS
from tests.unit.deploy.test_kubernetes_schemas import custom_schemas, faults, schema_name
from tests.unit.test_routes import APPS
from tools.paths import KUBERNETES, ROOT

COMMANDS = [line for block in blocks("bash") for line in block.replace("\\\n", " ").splitlines() if line.strip()]
SINGLE = [part.strip() for line in COMMANDS if line.startswith("kubectl ") for part in line.split(" | ")]
KUBECTL = [shlex.split(command, comments=True) for command in SINGLE]
SHORT = {"deployment": "Deployment", "job": "Job", "service": "Service", "secret": "Secret", "cronjob": "CronJob"}
STAY_INSIDE = {"/metrics", "/health", "/ready", "/token"}


def names(kind: str) -> set[str]:
    made = {name for tree in (DEMO, PRODUCTION) for name in (each["metadata"]["name"] for each in of_kind(tree, kind))}
    return made | (secrets_of_the_page().keys() if kind == "Secret" else set())


def named_in(command: list[str]) -> Iterator[tuple[str, str]]:
    """Yield what a command names, as `job/restore` or `deployment one two`: kind and name."""
    kind = ""
    for word in (each.removeprefix("--from=") for each in command):
        if word in SHORT:
            kind = word
        elif word.partition("/")[0] in SHORT:
            yield word.partition("/")[0], word.partition("/")[2]
        elif word.startswith("-"):
            kind = ""
        elif kind:
            yield kind, word


@pytest.mark.parametrize("command", KUBECTL, ids=" ".join)
def test_a_command_names_only_what_there_is(command: list[str]) -> None:
    for before, word in zip(command, command[1:], strict=False):
        if before in {"-k", "-f"} and word != "-":
            assert (ROOT / word / "kustomization.yaml").exists() or (ROOT / word).is_file()
        if before == "-n":
            assert word == "shop"
    made = {words[5] for words in KUBECTL if words[3:5] == ["create", "job"]}
    for kind, name in named_in([word for word in command if not word.isdigit()]):
        assert name in names(SHORT[kind]) | (made if kind == "job" else set()), kind


def test_every_command_of_the_demo_is_one_that_ci_runs() -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["kubernetes"]["steps"]
    run = "\n".join(step["run"] for step in steps if "run" in step)
    demo = PAGE[PAGE.index("## Try it with kind") : PAGE.index("## Production")]
    lines = [line for block in re.findall(r"```bash\n(.*?)```", demo, re.DOTALL) for line in block.splitlines()]
    assert len(lines) > 10
    assert [line for line in lines if line not in run.splitlines()] == []


@pytest.mark.parametrize("text", blocks("bash"))
def test_bash_understands_every_block(text: str) -> None:
    bash = shutil.which("bash")
    assert bash
    done = subprocess.run([bash, "-n"], input=text, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_gateway_of_the_page_admits_the_routes_of_the_shop() -> None:
    (gateway,) = (each for block in blocks("yaml") if (each := yaml.safe_load(block)).get("kind") == "Gateway")
    assert faults(gateway, custom_schemas()[schema_name(gateway)]) == []
    (listener,) = gateway["spec"]["listeners"]
    namespaces = listener["allowedRoutes"]["namespaces"]["selector"]
    assert matches(namespaces, {"kubernetes.io/metadata.name": "shop"})
    for route in of_kind(PRODUCTION, "HTTPRoute"):
        metadata = gateway["metadata"]
        assert route["spec"]["parentRefs"] == [{"name": metadata["name"], "namespace": metadata["namespace"]}]
        assert all(f"*.{host.partition('.')[2]}" == listener["hostname"] for host in route["spec"]["hostnames"])


def test_the_page_lists_every_configmap_secret_component_and_overlay() -> None:
    for tree in (DEMO, PRODUCTION):
        for each in of_kind(tree, "ConfigMap"):
            assert f"| `{each['metadata']['name'].rpartition('-')[0]}` |" in PAGE
    for name in secrets_of_the_page():
        assert f"`{name}`" in PAGE[PAGE.index("A Secret and its readers") :]
    for folder in (*(KUBERNETES / "components").iterdir(), *(KUBERNETES / "overlays").iterdir()):
        assert f"| `{folder.relative_to(KUBERNETES)}` |" in PAGE


def references(value: Any, key: str) -> set[str]:
    """Return the names of all `secretRef`s, or the like, anywhere in a resource."""
    if isinstance(value, list):
        return {name for each in value for name in references(each, key)}
    if not isinstance(value, dict):
        return set()
    own = {value[key]["name"]} if key in value else set()
    return own | {name for each in value.values() for name in references(each, key)}


def test_every_secret_that_production_reads_is_made_by_the_page_or_by_an_operator() -> None:
    read = {
        name
        for each in render(PRODUCTION)
        for key in ("secretRef", "secretKeyRef", "passwordSecretRef")
        for name in references(each, key)
    }
    assert read == secrets_of_the_page().keys() | OF_OPERATORS.keys()
    (scaler,) = of_kind(KUBERNETES / "tests/keda", "TriggerAuthentication")
    (target,) = scaler["spec"]["secretTargetRef"]
    assert target["key"] in secrets_of_the_page()[target["name"]]


def test_the_readers_of_a_secret_are_those_that_the_page_restarts() -> None:
    table = PAGE[PAGE.index("A Secret and its readers") : PAGE.index("The client secret of order-service")]
    for name, restarted in re.findall(r"^\| `([a-z-]+)` \| ([a-z, -]+) \|$", table, re.MULTILINE):
        readers = {
            each["metadata"]["name"]
            for each, _ in pods(PRODUCTION)
            if each["kind"] == "Deployment" and name in references(each, "secretRef")
        }
        assert readers == set(restarted.split(", "))


@pytest.mark.parametrize("service", APPS)
def test_the_routes_are_the_paths_that_clients_use(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app: OpenAPI = APPS[service](monkeypatch)
    (rule,) = named(PRODUCTION, "HTTPRoute", service)["spec"]["rules"]
    routed = [match["path"]["value"] for match in rule["matches"]]
    inside = {path.rule for path in app.url_map.iter_rules() if is_inside(app, path)}
    outside = {path.rule for path in app.url_map.iter_rules()} - inside
    assert {path for path in outside if not is_under(path, routed)} == set()
    assert {path for path in inside if is_under(path, routed)} == set()
    assert [prefix for prefix in routed if not any(is_under(path, [prefix]) for path in outside)] == []
    (backend,) = rule["backendRefs"]
    assert backend["port"] == named(PRODUCTION, "Service", service)["spec"]["ports"][0]["port"]
    assert backend["name"] == service


def is_inside(app: OpenAPI, path: Any) -> bool:
    return path.rule in STAY_INSIDE or set(allowed_roles(app.view_functions[path.endpoint]) or ()) == {SERVICE}


def is_under(path: str, prefixes: list[str]) -> bool:
    """Return whether a route covers a path, as Gateway API compares them: by whole segments."""
    return any(path == prefix or path.startswith(prefix + "/") for prefix in prefixes)


def test_no_stranger_decides_which_traces_are_recorded() -> None:
    for service in APPS:
        (rule,) = named(PRODUCTION, "HTTPRoute", service)["spec"]["rules"]
        removed = [
            each["requestHeaderModifier"]["remove"] for each in rule["filters"] if "requestHeaderModifier" in each
        ]
        assert {"traceparent", "tracestate"} <= set(removed[0])


def test_the_services_trust_one_proxy_where_there_is_a_gateway_and_none_elsewhere() -> None:
    for tree in TREES:
        expected = "1" if of_kind(tree, "HTTPRoute") else "0"
        assert named(tree, "ConfigMap", "web")["data"]["TRUSTED_PROXIES"] == expected
