"""How gunicorn's workers start, as `deploy/gunicorn.conf.py` has it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.waiting import until
from tools.paths import ROOT
from tools.stack.ports import free_ports

CONFIGURATION = ROOT / "deploy" / "gunicorn.conf.py"


def gunicorn(
    folder: Path, app: str, port: int, settings: Mapping[str, str] = MappingProxyType({}), **options: Any
) -> "subprocess.Popen[str]":
    """Start gunicorn with two workers."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{folder}", "WEB_CONCURRENCY": "2", **settings}
    program = [sys.executable, str(Path(sys.executable).parent / "gunicorn"), "--config", str(CONFIGURATION)]
    return subprocess.Popen([*program, "--bind", f"127.0.0.1:{port}", app], env=environment, text=True, **options)


def test_a_service_that_refuses_to_start_ends_with_its_reason_and_no_traceback(tmp_path: Path) -> None:
    """Both workers refuse at the same time: the arbiter finds one of them ended while it stops because of the other."""
    code = """
import os, time

def create_app():
    open(f"{FOLDER}/{os.getpid()}", "w").close()
    while len(os.listdir(FOLDER)) < 2:
        time.sleep(0.01)
    raise SystemExit("it lacks something")
"""
    (here := tmp_path / "here").mkdir()
    (tmp_path / "refusing_app.py").write_text(f"FOLDER = {str(here)!r}\n{code}")
    with gunicorn(tmp_path, "refusing_app:create_app()", free_ports(1)[0], stderr=subprocess.PIPE) as master:
        said = master.communicate(timeout=60)[1]
    assert (master.returncode, "Traceback" in said) == (3, False)
    assert "it lacks something" in said


def test_every_worker_checks_its_dependencies_when_it_starts(tmp_path: Path) -> None:
    code = """
import os

class Health:
    def failed_dependencies(self):
        open(f"{FOLDER}/{os.getpid()}", "w").close()
        return {}

def create_app():
    def app(environ, start_response):
        raise AssertionError("nobody asks")
    app.extensions = {"health": Health()}
    return app
"""
    (looked := tmp_path / "looked").mkdir()
    (tmp_path / "looking_app.py").write_text(f"FOLDER = {str(looked)!r}\n{code}")
    with gunicorn(tmp_path, "looking_app:create_app()", free_ports(1)[0]) as master:
        try:
            until(lambda: len(list(looked.iterdir())) == 2, "both workers have looked")
        finally:
            master.terminate()


def test_the_web_app_is_imported_once_for_all_workers(tmp_path: Path) -> None:
    (package := tmp_path / "shared").mkdir()
    (imported := tmp_path / "imported").mkdir()
    (made := tmp_path / "made").mkdir()
    write = "import os; open(f'{FOLDER}/{os.getpid()}', 'w').close()"
    app = f"FOLDER = {str(imported)!r}\n{write}\ndef create_app():\n    FOLDER = {str(made)!r}\n    {write}\n"
    (package / "app.py").write_text(app)
    (package / "__init__.py").write_text(
        "def create_app():\n    from shared import app\n    app.create_app()\n    return lambda *_: []\n"
    )
    with gunicorn(tmp_path, "shared:create_app()", free_ports(1)[0]) as master:
        try:
            until(lambda: len(list(made.iterdir())) == 2, "both workers have their app")
            assert [int(file.name) for file in imported.iterdir()] == [master.pid]
        finally:
            master.terminate()


def test_gunicorn_names_a_module_that_a_web_app_lacks_at_the_start(tmp_path: Path) -> None:
    (package := tmp_path / "lacking").mkdir()
    (package / "__init__.py").touch()
    (package / "app.py").write_text("import no_such_library\n")
    with gunicorn(tmp_path, "lacking:create_app()", free_ports(1)[0], stderr=subprocess.PIPE) as master:
        said = master.communicate(timeout=60)[1]
    assert master.returncode == 1
    assert said.count("No module named 'no_such_library'") == 1
