"""The stream of one call: as it comes from a provider, on its way to the app, and recorded for replay."""
