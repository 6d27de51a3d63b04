"""The rules of `apb lint`, by noun. Each is a function of a role that yields findings; its docstring is what the documentation says."""
