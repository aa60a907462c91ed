"""The loops that calls are driven in: the one that opened the router, the portal's, and the ways there from others."""
