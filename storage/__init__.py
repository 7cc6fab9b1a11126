"""The database and the artifact store: data that outlives a process. Independent of techniques, figures and pages."""
