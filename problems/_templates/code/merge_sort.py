def inversions(values):
    """Count while merging sorted halves."""
    return _sorted(values)[1]


def _sorted(values):
    if len(values) < 2:
        return values, 0
    middle = len(values) // 2
    left, a = _sorted(values[:middle])
    right, b = _sorted(values[middle:])
    merged, count, i, j = [], a + b, 0, 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            merged.append(left[i])
            i += 1
        else:
            merged.append(right[j])
            count += len(left) - i
            j += 1
    return merged + left[i:] + right[j:], count
