"""Reports as files: one HTML page each, complete in itself, with its charts drawn as SVG."""
