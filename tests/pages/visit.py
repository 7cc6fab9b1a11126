"""What a visitor sees of a page, by Streamlit's own test runner."""

from functools import cache

from conftest import ROOT
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest, local_script_runner

# Each AppTest has a component manager of its own, which reads the metadata of all installed packages again: 0.6 s.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)
# And a cache of compiled pages of its own, where all sessions of a server share one.
local_script_runner.ScriptCache = cache(local_script_runner.ScriptCache)

TEXTS = ("title", "header", "subheader", "markdown", "caption", "info", "warning", "error", "success")


def shown(page: str, **query: str) -> AppTest:
    """The page as a new visitor with this address sees it: no other page was open before."""
    app = visitor()
    app._page_hash = page_hash(page)
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    return sound(app)


def visitor() -> AppTest:
    return AppTest.from_file(str(ROOT / "lwdash/ui/shell.py"), default_timeout=120)


@cache
def page_hash(page: str) -> str:
    """Streamlit's name of a page, which it knows once any page was shown."""
    return str(visitor().run().switch_page(page)._page_hash)


def sound(app: AppTest) -> AppTest:
    """The same, if it has shown no exception."""
    assert not app.exception, [element.value for element in app.exception]
    return app


def words(app: AppTest) -> str:
    """All text that the page wrote, Markdown's backslashes taken out."""
    texts = [element.value for kind in TEXTS for element in getattr(app, kind)]
    texts += [f"{metric.label}: {metric.value}" for metric in app.metric]
    texts += [element.label for kind in ("button", "expander") for element in getattr(app, kind)]
    return "\n".join(texts).replace("\\", "")
