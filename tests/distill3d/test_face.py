"""The package that users import: what it names, where it is found from, what stands in its way."""

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import distill3d
from tests.conftest import REPOSITORY


def python(code: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run code as a user would, from a folder, with what is installed here."""
    return subprocess.run(
        [sys.executable, *options, "-c", code], cwd=folder, capture_output=True, text=True
    )


def test_every_name_is_there() -> None:
    for name in distill3d.__all__:
        assert getattr(distill3d, name) is not None
    assert dir(distill3d) == sorted(distill3d.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        distill3d.nothing  # noqa: B018


def test_importing_it_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'zarr', 'pyarrow', 'open3d'}"
    done = python(f"import distill3d, sys; print({heavy} & set(sys.modules))", REPOSITORY)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_it_is_found_beside_a_checkout_of_its_name(tmp_path: Path) -> None:
    """A folder `distill3d` where one stands, such as the checkout, is not taken for the package."""
    (tmp_path / "distill3d" / "docs").mkdir(parents=True)
    done = python("import distill3d; print(distill3d.__file__)", tmp_path)
    assert done.stdout.strip().endswith("distill3d/__init__.py"), done.stderr


@pytest.mark.parametrize("name", ["cache.py", "configs/__init__.py", "stages/__init__.py"])
def test_a_name_in_the_way_is_one_line(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    said = f"distill3d: {file if file.parent == tmp_path else file.parent} stands before our own package"
    done = python("import distill3d", tmp_path)
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]
    done = subprocess.run(
        [sys.executable, "-m", "distill3d", "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert done.stderr.startswith(said)
    command = Path(sys.executable).with_name("distill3d")
    if command.exists():  # it does not look into the folder that it is started from
        done = subprocess.run([command, "--version"], cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_command_is_pythons_module_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "distill3d", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, f"distill3d {distill3d.__version__}\n"), (
        done.stderr
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_it_installs(tmp_path: Path, kind: str) -> None:
    """Into an environment of its own that borrows this one's packages; then used from elsewhere."""
    source = tmp_path / "source"
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in (name for name in tracked if not name.startswith("tests/")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, source / name)
    venv.create(tmp_path / "env", with_pip=False)
    site = next((tmp_path / "env").glob("lib/python*/site-packages"))
    theirs = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    pip = [sys.executable, "-m", "pip", "--quiet", "install", "--no-deps", "--no-build-isolation"]
    pip += ["--prefix", str(tmp_path / "env")]
    if kind == "editable":
        pip += ["--config-settings", "editable_mode=compat", "--editable"]
    subprocess.run([*pip, str(source)], check=True, cwd=tmp_path)
    for item in theirs.iterdir():  # all packages but this one
        if "distill3d" not in item.name and not (site / item.name).exists():
            (site / item.name).symlink_to(item)
    own = tmp_path / "env" / "bin" / "python"
    code = "import distill3d, configs, stages; print(distill3d.__file__); distill3d.read_cloud"
    done = subprocess.run([own, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    place = site if kind == "wheel" else source
    assert done.stdout.strip() == str(place / "distill3d" / "__init__.py"), done.stderr
    assert (place / "distill3d" / "py.typed").is_file()
    done = subprocess.run(
        [own, tmp_path / "env" / "bin" / "distill3d", "pretrain", "-c", "paper", "--workspace", "none"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, "run extract first" in done.stderr) == (2, True), done.stderr


@pytest.mark.slow
def test_the_wheel_has_every_package(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation", "-w",
         str(tmp_path), str(REPOSITORY)], check=True, cwd=tmp_path,
    )  # fmt: skip
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        held = set(wheel.namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "distill3d", "pipeline", "stages", "cache", "configs"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert set(tracked) <= held
