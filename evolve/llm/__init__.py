"""Language models and the ledger of what they cost."""
