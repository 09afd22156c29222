"""What the environment says, read once at cold start; a module a function, so none pays for another."""
