"""One page and one RESULTS.md block from score files and experiment folders; nobody types results."""
