#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

// Return the order in which to visit the cities: each index of x and y once.
// EVOLVE-BLOCK-START
inline std::vector<int> round_trip(const std::vector<double>& x, const std::vector<double>& y) {
    const int n = static_cast<int>(x.size());
    std::vector<int> tour(n);
    std::iota(tour.begin(), tour.end(), 0);
    for (int i = 1; i < n; ++i) {
        int best = i;
        double shortest = INFINITY;
        for (int j = i; j < n; ++j) {
            const double d = std::hypot(x[tour[j]] - x[tour[i - 1]], y[tour[j]] - y[tour[i - 1]]);
            if (d < shortest) {
                shortest = d;
                best = j;
            }
        }
        std::swap(tour[i], tour[best]);
    }
    return tour;
}
// EVOLVE-BLOCK-END
