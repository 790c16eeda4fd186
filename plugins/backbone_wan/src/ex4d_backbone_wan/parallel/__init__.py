"""Denoising on several GPUs: the process that starts the workers, and the workers."""
