"""What `./dev up` and `./dev status` print about a stack."""

from collections.abc import Collection, Iterator

from tools.services import STOREFRONT
from tools.stack import programs
from tools.stack.stack import Stack
from tools.stack.supervision import SUPERVISORD

NAMES = {STOREFRONT: "shop window", "prometheus": "Prometheus", "traces": "traces", "rabbitmq": "RabbitMQ's metrics"}
USE = {"prometheus": "   alerts: /alerts", "traces": "   ./dev trace ORDER"}


def summary(stack: Stack, *, started: bool) -> str:
    """Return where everything of a running stack is."""
    state = stack.state.name
    pages = {NAMES.get(name, name): url + USE.get(name, "") for name, url in stack.pages().items()}
    rows = {name: text for name, text in pages.items() if name == NAMES[STOREFRONT]}
    rows |= {name: f"{url}/docs" for name, url in stack.urls.items()}
    if "rabbitmq" in stack.programs():
        login = f"{programs.DASHBOARD_USER} / {programs.DASHBOARD_PASSWORD}"
        rows["RabbitMQ dashboard"] = f"http://localhost:{stack.ports['rabbitmq-management']}   {login}"
    rows |= pages
    rows |= {name: server.text for name, server in stack.servers().items()}
    rows["administrator"] = f"{programs.ADMIN_EMAIL} / {programs.ADMIN_PASSWORD}"
    rows["databases, broker"] = f"administrators' URLs in {state}/admin.env"
    rows["logs"] = f"{state}/logs, or ./dev logs NAME"
    title = "The shop is ready." if started else "The shop is already running."
    lines = (f"  {name:<22}{text}" for name, text in rows.items())
    return "\n".join([title, *lines, *stack.notes, "Stop it with ./dev down."])


def status(stack: Stack, unready: Collection[str]) -> Iterator[str]:
    """Yield a line for every program: whether it runs, its pids, and where it shows its metrics."""
    pages = stack.pages()
    for name in (SUPERVISORD, *stack.programs()):
        pids = " ".join(map(str, stack.pids(name)))
        state = "not ready" if name in unready or not pids else "running"
        yield "  ".join([f"{name:<24}{state:<12}{pids}", *([pages[name]] if name in pages else [])])
