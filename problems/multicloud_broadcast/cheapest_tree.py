"""All partitions along the cheapest tree through source and destinations (Prim's, directed)."""


def broadcast(price, gbps, source, destinations, partitions, gigabytes):
    reached, left, links = [source], set(destinations), []
    while left:
        a, b = min(((a, b) for a in reached for b in left), key=lambda link: (price[link], link))
        links.append([a, b])
        reached.append(b)
        left.remove(b)
    return [links] * partitions
