"""One library, one home; one direction; nothing at import. The rules of the architecture, read from the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = {
    "user_service": ROOT / "user-service",
    "product_service": ROOT / "product-service",
    "order_service": ROOT / "order-service",
    "notification_service": ROOT / "notification-service",
}

# To use a library in another place, reconsider first; then add the place here and say why in docs/architecture.md.
HOMES = {
    "flask": {"*.api", "chassis.auth.access", "chassis.service", "chassis.web.*"},
    "flask_openapi3": {"*.api", "chassis.service", "chassis.web.app", "chassis.web.docs"},
    "flask_jwt_extended": {"*.api", "chassis.auth.access"},
    "jwt": {"*.api", "chassis.auth.*"},
    "pymongo": {"*.store", "*.store.*", "*.indexes", "chassis.mongo.*", "deploy.*"},
    "requests": {"deploy.*"},
    "stripe": {
        "order_service.payment.stripe_errors",
        "order_service.payment.stripe_provider",
        "order_service.payment.stripe_replies",
        "order_service.payment.stripe_webhook",
    },
    "urllib3": {
        "chassis.auth.user_service",
        "order_service.connections",
        "order_service.product_client",
        "order_service.product_replies",
    },
    "pika": {
        "chassis.amqp",
        "order_service.publisher",
        "notification_service.messages",
        "notification_service.session",
        "notification_service.dead_letters",
        "deploy.*",
    },
    "smtplib": {"notification_service.smtp_connection", "notification_service.smtp_pool"},
    "idna": {"notification_service.addresses", "user_service.emails"},
    "opentelemetry": {"chassis.telemetry.otlp"},
    "prometheus_client": {"chassis.telemetry.metrics"},
    "jinja2": {"notification_service.composing"},
    "argon2": {"user_service.passwords"},
    "phonenumbers": {"user_service.phones"},
}
CORES = {
    "user_service": {"accounts", "model", "oauth", "throttle", "tokens"},
    "product_service": {"catalogue", "model", "reservations"},
    "order_service": {
        "orders",
        "placing",
        "events",
        "model",
        "told",
        "recovered_events",
        "recovered_stock",
        "decisions",
    },
    "notification_service": {"delivery", "events", "handling", "model", "notifier", "topology", "wording"},
}
FOR_CORES = {
    "chassis.errors",
    "chassis.paging",
    "chassis.logs",
    "chassis.misconfigurations",
    "chassis.schemas",
    "chassis.telemetry",
}
ROLE_NAMES = {f"chassis.auth.access.{role}" for role in ("CUSTOMER", "ADMIN", "SERVICE")}
ACYCLIC = (*SERVICES, "chassis", "deploy")
UNUSED = {"flask", "werkzeug", "cryptography", "opentelemetry.sdk"}  # by the programs that serve no HTTP
TYPES_ONLY = "TYPE_CHECKING"


def modules() -> dict[str, ast.Module]:
    """Return every module of the services, the chassis and deploy, by its dotted name."""
    folders = [*(folder / package for package, folder in SERVICES.items()), ROOT / "chassis", ROOT / "deploy"]
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    return {dotted(file): ast.parse(file.read_text(encoding="utf-8"), str(file)) for file in files}


def dotted(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[1:] if parts[0].endswith("-service") else parts)


MODULES = modules()


def imported(node: ast.AST) -> list[str]:
    """Return the names that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"relative import in line {node.lineno}"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a module imports, at its top or within, except for those that only the type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == TYPES_ONLY):
            yield from imported(node)
            yield from imports(node)


def fits(module: str, pattern: str) -> bool:
    """Tell whether a module has a pattern's shape: `*` at the start is any service, at the end anything."""
    if pattern.startswith("*."):
        service, _, rest = module.partition(".")
        return service in SERVICES and fits(rest, pattern[2:])
    if pattern.endswith(".*"):
        return module.startswith(pattern[:-1]) or module == pattern[:-2] + ".__init__"
    return module in (pattern, f"{pattern}.__init__")


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_only_where_it_is_at_home(library: str) -> None:
    strangers = {
        module
        for module, tree in MODULES.items()
        if any(name.split(".")[0] == library for name in imports(tree))
        and not any(fits(module, home) for home in HOMES[library])
    }
    assert strangers == set()


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_imports_another(service: str) -> None:
    others = set(SERVICES) - {service}
    found = {
        f"{module} imports {name}"
        for module, tree in MODULES.items()
        if module.split(".")[0] == service
        for name in imports(tree)
        if name.split(".")[0] in others | {"tests", "tools", "deploy"}
    }
    assert found == set()


def test_the_chassis_imports_no_service() -> None:
    found = {
        f"{module} imports {name}"
        for module, tree in MODULES.items()
        if module.split(".")[0] == "chassis"
        for name in imports(tree)
        if name.split(".")[0] in {*SERVICES, "tests", "tools", "deploy"}
    }
    assert found == set()


@pytest.mark.parametrize("service", SERVICES)
def test_the_core_imports_only_the_standard_library_and_plain_parts_of_the_chassis(service: str) -> None:
    outer = {
        f"{service}.{name}" for name in ("app", "api", "store", "config", "schemas", "publisher", "consumer", "worker")
    }
    found = {
        f"{module} imports {name}"
        for module, tree in MODULES.items()
        if module.split(".")[0] == service and module.split(".")[1] in CORES[service]
        for name in imports(tree)
        if not (
            name.split(".")[0] in sys.stdlib_module_names
            or ".".join(name.split(".")[:2]) in FOR_CORES
            or name in ROLE_NAMES
            or (name.split(".")[0] == service and ".".join(name.split(".")[:2]) not in outer)
        )
    }
    assert found == set()


@pytest.mark.parametrize("package", ACYCLIC)
def test_a_package_has_no_import_cycle(package: str) -> None:
    """Imports that only the type checker sees count as well."""
    graph = {
        module: {source for node in ast.walk(tree) for name in imported(node) if (source := source_of(name))}
        for module, tree in MODULES.items()
        if module.split(".")[0] == package
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


def source_of(name: str) -> str | None:
    """Return the module that an imported name is, or is in; None if it is not one of ours."""
    outer = name.rpartition(".")[0]
    return next((m for m in (name, f"{name}.__init__", outer, f"{outer}.__init__") if m in MODULES), None)


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_a_core(service: str) -> None:
    names = {module.split(".")[1] for module in MODULES if module.split(".")[0] == service}
    assert CORES[service] <= names


def test_only_config_reads_the_environment() -> None:
    found = {
        f"{module}:{node.lineno}"
        for module, tree in MODULES.items()
        if module.split(".")[-1] != "config" and module.split(".")[0] != "deploy"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and node.attr in ("environ", "environb", "getenv", "putenv")
    }
    found |= {
        f"{module} imports {name}"
        for module, tree in MODULES.items()
        for name in imports(tree)
        if name in ("os.environ", "os.getenv")
    }
    assert found == set()


def run(script: str) -> None:
    """Run a script in a process of its own that can import every service; it is to end with 0 and say nothing."""
    path = ":".join(map(str, [ROOT, *SERVICES.values()]))
    environment = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_importing_a_service_opens_no_connection() -> None:
    """Import everything in a process of its own, in which every attempt to connect ends it."""
    names = [
        module.removesuffix(".__init__")
        for module in MODULES
        if module.split(".")[0] in {*SERVICES, "chassis"} and not module.endswith("__main__")
    ]
    script = f"""
import importlib, os, socket, sys
def refuse(*_): os._exit(42)
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refuse
import pymongo, threading
pymongo.MongoClient.__init__ = refuse
for name in {names!r}:
    importlib.import_module(name)
extra = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
sys.exit(f"threads at import: {{extra}}" if extra else 0)
"""
    run(script)


@pytest.mark.parametrize(
    "module", ["order_service.worker", "notification_service.consumer", "notification_service.dead_letters"]
)
def test_what_runs_beside_a_web_app_does_without_flask_and_cryptography(module: str) -> None:
    """Both take megabytes. pymongo would load the second one on its way to PyOpenSSL, which is not there."""
    run(f"import sys, {module}; found = {UNUSED} & set(sys.modules); sys.exit(str(found) if found else 0)")


def test_modules_only_define_at_their_top_level() -> None:
    """A call as a statement at the top level does something at import; only `__main__` blocks may."""
    found = {
        f"{module}:{statement.lineno}"
        for module, tree in MODULES.items()
        if module.split(".")[0] in {*SERVICES, "chassis"} and not module.endswith("__main__")
        for statement in tree.body
        if isinstance(statement, ast.Expr | ast.For | ast.While | ast.With)
        and not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
    }
    assert found == set()


def test_no_package_is_called_app() -> None:
    names = {file.parent.name for folder in SERVICES.values() for file in folder.rglob("__init__.py")}
    assert names & {"app", "src", "utils", "helpers"} == set()


def test_modules_are_not_called_utils_helpers_or_manager() -> None:
    vague = {"utils", "helpers", "manager", "misc", "data"}
    assert {module for module in MODULES if set(module.split(".")) & vague} == set()


def test_the_top_level_is_easy_to_take_in() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout  # noqa: S607
    if not listed:
        pytest.skip("not a git clone")
    visible = {line.split("/")[0] for line in listed.splitlines() if not line.startswith(".")}
    assert len(visible) <= 20
    assert {"LICENSE", "README.md", ".ci/run"} <= {*visible, *listed.splitlines()}
