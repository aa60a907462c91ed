"""The attempts of one call: built, let out, sent, judged, priced, and one beside another."""
