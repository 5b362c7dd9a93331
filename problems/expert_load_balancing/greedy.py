"""Replicas to the largest load for each; then the largest first to the emptiest GPU."""

import heapq

import numpy as np


def place(loads, gpus, places):
    _, layers, experts = loads.shape
    result = np.empty((layers, gpus, places), dtype=np.int64)
    for layer in range(layers):
        load = loads[-1, layer]
        replicas = np.ones(experts, dtype=np.int64)
        heap = [(-load[expert], expert) for expert in range(experts)]
        heapq.heapify(heap)
        for _ in range(gpus * places - experts):
            _, expert = heapq.heappop(heap)
            replicas[expert] += 1
            heapq.heappush(heap, (-load[expert] / replicas[expert], expert))
        items = sorted(
            (
                (load[expert] / replicas[expert], expert)
                for expert in range(experts)
                for _ in range(replicas[expert])
            ),
            reverse=True,
        )
        totals, filled = np.zeros(gpus), [[] for _ in range(gpus)]
        for amount, expert in items:
            gpu = min((g for g in range(gpus) if len(filled[g]) < places), key=lambda g: totals[g])
            filled[gpu].append(expert)
            totals[gpu] += amount
        result[layer] = filled
    return result
