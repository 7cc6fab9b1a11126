"""Paths of the pages relative to the shell, in the form that Streamlit takes."""

OVERVIEW = "../../pages/overview.py"
NEW = "../../pages/new.py"
EXPERIMENT = "../../pages/experiment.py"
RUN = "../../pages/run.py"
SYSTEM = "../../pages/system.py"
GLOSSARY = "../../pages/glossary.py"
