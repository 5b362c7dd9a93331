// Reads {"x": [...], "y": [...]} from standard input, writes the tour as a JSON list.
#include <cctype>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "tour.hpp"

// The inputs hold whole numbers only, so a look for digits after the key is all it takes.
static std::vector<double> numbers(const std::string& text, const std::string& key) {
    std::vector<double> found;
    std::size_t at = text.find('[', text.find("\"" + key + "\""));
    const std::size_t end = text.find(']', at);
    while (++at < end) {
        if (std::isdigit(static_cast<unsigned char>(text[at])) == 0) continue;
        std::size_t used = 0;
        found.push_back(std::stod(text.substr(at, 24), &used));
        at += used - 1;
    }
    return found;
}

int main() {
    const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
    const std::vector<int> tour = round_trip(numbers(text, "x"), numbers(text, "y"));
    std::printf("[");
    for (std::size_t i = 0; i < tour.size(); ++i) std::printf(i == 0 ? "%d" : ",%d", tour[i]);
    std::printf("]\n");
}
