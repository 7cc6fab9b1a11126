"""Shared by the pages and the routes of one server process: sign-in, upload token, engine, log."""
