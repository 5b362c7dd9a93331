"""Always the transaction next that lets the makespan grow least, the longest of equals."""


def schedule(transactions):
    left = set(range(len(transactions)))
    written, read, order, makespan = {}, {}, [], 0
    while left:

        def end(index):
            start = 0
            for offset, (write, key) in enumerate(transactions[index]):
                free = max(written.get(key, 0), read.get(key, 0) if write else 0)
                start = max(start, free - offset)
            return start + len(transactions[index])

        ends = {index: end(index) for index in left}
        best = min(left, key=lambda i: (max(makespan, ends[i]), -len(transactions[i]), ends[i], i))
        makespan = max(makespan, ends[best])
        for write, key in transactions[best]:
            held = written if write else read
            held[key] = max(held.get(key, 0), ends[best])
        order.append(best)
        left.remove(best)
    return order
