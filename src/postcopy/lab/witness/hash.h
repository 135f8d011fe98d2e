/* What the content of pages and sectors follows from. */
#ifndef HASH_H
#define HASH_H

#include <stdint.h>

static const uint64_t STEP = 0x9E3779B97F4A7C15; /* 2^64 over the golden ratio, odd */

static inline uint64_t mix(uint64_t value)
{
    value ^= value >> 32;
    value *= 0xD6E8FEB86659FD93;
    value ^= value >> 32;
    value *= 0xD6E8FEB86659FD93;
    return value ^ (value >> 32);
}

static inline uint64_t first_word(uint64_t seed, uint32_t index)
{
    return mix(seed * STEP + index);
}

static inline uint64_t stamp(uint64_t seed, uint32_t index, uint32_t counter)
{
    uint64_t value = (seed ^ ((uint64_t)index << 32 | counter)) * STEP;
    return value ^ (value >> 29);
}

#endif
