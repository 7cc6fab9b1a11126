"""Copies the dashboard's entry, which lies beside the packages in the checkout, into the wheel as lwdash/dashboard/.

Everything else of the build is in pyproject.toml.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

DASHBOARD = "lwdash/dashboard"


class BuildWithDashboard(build_py):
    """`lwdash.settings.DASHBOARD` finds the copies; an editable install uses the files of the checkout."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for path in (Path("app.py"), Path(".streamlit/config.toml"), *sorted(Path("pages").glob("*.py"))):
            target = Path(self.build_lib, DASHBOARD, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(path), str(target))


setup(cmdclass={"build_py": BuildWithDashboard})
