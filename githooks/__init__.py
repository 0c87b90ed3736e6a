"""The edge to git: what its hook records, what its configuration says, what its history tells."""
