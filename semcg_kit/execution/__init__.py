"""How notebooks are executed: papermill in a kernel of this environment, the course's order, what is committed of it."""
