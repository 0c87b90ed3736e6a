"""The built-in brokers: one per module, named as the module is, and nothing else."""
