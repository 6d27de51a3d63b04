"""The `apb` command: runs a broker on this machine, and is a client of one. As a client it speaks HTTP only."""
