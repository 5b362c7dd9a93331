// Reads {"numbers": [...]} from standard input, writes the group of each number as a JSON list.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

// EVOLVE-BLOCK-START
// Largest first, each to the group that has less.
static std::vector<int> split(const std::vector<long long>& numbers) {
    std::vector<int> order(numbers.size()), group(numbers.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int a, int b) { return numbers[a] > numbers[b]; });
    long long sums[2] = {0, 0};
    for (int i : order) {
        group[i] = sums[1] < sums[0];
        sums[group[i]] += numbers[i];
    }
    return group;
}
// EVOLVE-BLOCK-END

int main() {
    const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
    std::vector<long long> numbers;
    for (std::size_t at = text.find('['); at < text.size(); ++at) {
        if (std::isdigit(static_cast<unsigned char>(text[at])) == 0) continue;
        std::size_t used = 0;
        numbers.push_back(std::stoll(text.substr(at), &used));
        at += used;
    }
    const std::vector<int> group = split(numbers);
    for (std::size_t i = 0; i < group.size(); ++i) std::printf(i == 0 ? "[%d" : ",%d", group[i]);
    std::printf("]\n");
}
