"""The command `oberon`: `main` and one module for each sub-command."""
