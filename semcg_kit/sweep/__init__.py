"""Many runs: the conditions of the protocol at each of its seeds, side by side.

    plan     what is to be done, and what is finished already
    attempt  one task, and how the process that executes it is started, watched and stopped
    worker   that process
    pool     the order of things: from the first task to the exit code, with a live table
    cluster  the same on the workers of Dask

The only memory is `results/`: a task is finished when its executed notebook, the notebook's code, its parameters and
the runs that it trained all match. So a sweep can be stopped at any time, and the same command resumes it.
"""
