// What a fuzz target requires of every input; libFuzzer reports the abort.
#pragma once

#include <cstdlib>

inline void require(bool holds)
{
    if (!holds)
        std::abort();
}
