"""One module per group of calls; each has a `router` that the app takes over."""
