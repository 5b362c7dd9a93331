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
    for (bool better = true; better;) {
        better = false;
        for (int i = 0; i + 2 < n; ++i) {
            for (int j = i + 2; j < n; ++j) {
                const int a = tour[i], b = tour[i + 1], c = tour[j], d = tour[(j + 1) % n];
                if (a == d) continue;
                const double before = std::hypot(x[a] - x[b], y[a] - y[b]) +
                                      std::hypot(x[c] - x[d], y[c] - y[d]);
                const double after = std::hypot(x[a] - x[c], y[a] - y[c]) +
                                     std::hypot(x[b] - x[d], y[b] - y[d]);
                if (after < before - 1e-6) {
                    std::reverse(tour.begin() + i + 1, tour.begin() + j + 1);
                    better = true;
                }
            }
        }
    }
    return tour;
}
// EVOLVE-BLOCK-END
