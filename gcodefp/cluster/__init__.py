"""GPUs, SLURM jobs and deadlines."""
