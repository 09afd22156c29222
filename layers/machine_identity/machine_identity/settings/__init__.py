"""What the environment says, read once at cold start; a module a function, each of its own."""
