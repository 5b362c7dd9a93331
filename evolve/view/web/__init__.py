"""The live page: what a database holds, in a browser, on this machine only."""
