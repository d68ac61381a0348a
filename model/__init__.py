"""What online and offline must agree on: types, the slow model, the fast memory, the log."""
