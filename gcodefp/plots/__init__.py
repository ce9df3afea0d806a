"""Figures for print, each drawn from a finished pipeline's files and nothing else."""
