"""Where an agent works and for how long: its GPU, its SLURM job, its deadline, its processes."""
