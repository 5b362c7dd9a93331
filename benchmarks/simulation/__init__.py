"""A discrete-event simulation of a run on 1 to 100,000 slots, with the real controller code."""
