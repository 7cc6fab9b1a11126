"""Where the pages are, as Streamlit wants it said: relative to the shell."""

OVERVIEW = "../../pages/overview.py"
NEW = "../../pages/new.py"
EXPERIMENT = "../../pages/experiment.py"
RUN = "../../pages/run.py"
SYSTEM = "../../pages/system.py"
GLOSSARY = "../../pages/glossary.py"
