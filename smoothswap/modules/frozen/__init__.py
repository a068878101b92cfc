"""Networks whose weights are fixed: read from a package, neither trained nor saved."""
