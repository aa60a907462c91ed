"""The app's body made into the body for a route, pure: parameters, emulation, system prompt, repair, merged choices."""
