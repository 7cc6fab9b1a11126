"""The device on the desk: the agent that measures there, the rows that it receives, the report that it sends."""
