"""Parts that tests of several folders share: services, models, rows, and the server under test."""
