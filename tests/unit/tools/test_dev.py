"""The script `dev`: it installs into .venv whatever the user's settings say, and wherever the clone is."""

import subprocess
import venv
import zipfile
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pip
import pytest

from tools.paths import ROOT

IN_METADATA = {
    "METADATA": "Metadata-Version: 2.1\nName: shop-test\nVersion: 1.0\n",
    "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "RECORD": "",
}


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module, for a virtual environment of its own below a folder with another letter than ASCII's."""
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    loader = SourceFileLoader("dev", str(ROOT / "dev"))
    module: Any = module_from_spec(spec_from_loader(loader.name, loader))  # type: ignore[arg-type]
    loader.exec_module(module)
    module.ROOT = tmp_path / "Läden, 100% #1"
    module.VENV = module.ROOT / ".venv"
    module.PYTHON = module.VENV / "bin" / "python"
    module.STAMP = module.VENV / "installed"
    venv.create(module.VENV, symlinks=True)
    (site_packages(module) / "pip").symlink_to(Path(pip.__file__).parent)
    return module


def site_packages(dev: Any) -> Path:
    (folder,) = dev.VENV.glob("lib/python*/site-packages")
    assert isinstance(folder, Path)
    return folder


def test_packages_come_from_where_the_users_settings_say_but_go_into_the_virtual_environment(
    dev: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "shop_test-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("shop_test.py", "")
        for name, text in IN_METADATA.items():
            wheel.writestr(f"shop_test-1.0.dist-info/{name}", text)
    elsewhere = tmp_path / "elsewhere"
    where = f"target = {elsewhere}\nprefix = {elsewhere}\nroot = {elsewhere}\nuser = true\n"
    (tmp_path / "pip.conf").write_text(f"[global]\nno-index = true\nfind-links = {tmp_path}\n[install]\n{where}")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_PYTHON", "/usr/bin/python3")
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")
    assert dev.pip_install("shop-test") == 0
    assert (site_packages(dev) / "shop_test.py").exists()
    assert not elsewhere.exists()


def test_the_virtual_environment_is_made_again_when_its_python_is_gone(dev: Any) -> None:
    assert not dev.is_installed()
    dev.STAMP.write_text(dev.fingerprint())
    assert dev.is_installed()
    dev.PYTHON.unlink()
    dev.PYTHON.symlink_to("/usr/bin/python3.0")
    assert not dev.is_installed()


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_the_import_paths_are_found_in_every_locale(dev: Any, locale: str) -> None:
    (site_packages(dev) / "shop.pth").write_text(dev.import_paths())
    code = "import sys; print(*map(ascii, sys.path), sep=chr(10))"
    environment = {"LC_ALL": locale, "LANG": locale}
    done = subprocess.run([dev.PYTHON, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    assert ascii(f"{dev.ROOT}/order-service") in done.stdout.splitlines()


@pytest.mark.parametrize("path", ["/home/ada/a:b/shop", "/home/ada/a\nb"])
def test_a_folder_in_which_python_makes_no_virtual_environment_is_named_at_once(dev: Any, path: str) -> None:
    with pytest.raises(SystemExit, match="Rename it"):
        dev.check_folder_name(path)
    dev.check_folder_name("/home/ada/100% of it #2 ;x 'a' \"b\" $HOME & ö")
