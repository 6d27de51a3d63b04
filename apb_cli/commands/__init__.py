"""The commands, one file per noun. Each registers itself on the application by `register`."""
