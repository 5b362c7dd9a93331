"""Uniform Progress (Wu et al., NSDI 2024): on demand whenever the job is behind its schedule."""

WORK = {"hours": 0.0}


def decide(available, running, now, remaining, deadline, overhead):
    if now == 0:
        WORK["hours"] = remaining
    if available:
        return 1
    behind = WORK["hours"] - remaining < WORK["hours"] * now / deadline - overhead
    return 2 if behind else 0
