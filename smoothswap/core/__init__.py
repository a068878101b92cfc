"""What everything stands on: errors, options, the catalogue of components, plugins. Imports no torch."""
