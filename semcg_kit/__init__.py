"""What runs the course: the command line, papermill, preparation of real data, sweeps, evidence and the doctor."""
