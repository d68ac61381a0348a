"""What enters and leaves over HTTP: one model per direction, every limit stated."""
