#define _GNU_SOURCE
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hash.h"

enum {
    SECTOR_WORDS = 512 / sizeof(uint64_t),
    LAST = SECTOR_WORDS - 1,
    SECTORS = 8, /* of a block */
    BLOCK_BYTES = SECTORS * 512,
    BATCH = 256, /* blocks that are filled or checked at once: 1 MiB */
    PAUSE_NS = 10 * 1000000, /* between two blocks */
};

static struct {
    int file;
    uint64_t seed;
    uint32_t blocks;
    uint32_t *shadow;
    uint64_t wrong;
    uint64_t *batch; /* of whoever holds the lock */
    const volatile bool *paused;
    pthread_mutex_t lock;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t sector_word(uint32_t sector, uint32_t counter, int at)
{
    if (at == 0)
        return counter;
    if (at == LAST)
        return stamp(disk.seed, sector, counter);
    return first_word(disk.seed, sector) + (uint64_t)at * STEP;
}

static void fill_block(uint64_t *words, uint32_t block, uint32_t counter)
{
    for (uint32_t sector = 0; sector < SECTORS; sector++)
        for (int at = 0; at < SECTOR_WORDS; at++)
            *words++ = sector_word(block * SECTORS + sector, counter, at);
}

static bool block_is_right(const uint64_t *words, uint32_t block)
{
    uint64_t different = 0;
    for (uint32_t sector = 0; sector < SECTORS; sector++)
        for (int at = 0; at < SECTOR_WORDS; at++)
            different |=
                *words++ ^ sector_word(block * SECTORS + sector, disk.shadow[block], at);
    return different == 0;
}

static bool transfer(bool write, uint32_t block, uint32_t count)
{
    size_t bytes = (size_t)count * BLOCK_BYTES;
    off_t at = (off_t)block * BLOCK_BYTES;
    ssize_t done = write ? pwrite(disk.file, disk.batch, bytes, at)
                         : pread(disk.file, disk.batch, bytes, at);
    return done == (ssize_t)bytes;
}

const char *disk_open(const char *path, uint64_t seed)
{
    static char trouble[128];
    disk.file = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (disk.file < 0 && errno == EINVAL) /* a file system that cannot: only outside a guest */
        disk.file = open(path, O_RDWR | O_CLOEXEC);
    off_t bytes = disk.file < 0 ? -1 : lseek(disk.file, 0, SEEK_END);
    if (bytes < 0) {
        snprintf(trouble, sizeof trouble, "disk %s: %s", path, strerror(errno));
        return trouble;
    }
    if (bytes / BLOCK_BYTES == 0 || bytes / BLOCK_BYTES > UINT32_MAX / SECTORS)
        return "a disk of that size makes no sense";
    disk.seed = ~seed;
    disk.blocks = (uint32_t)(bytes / BLOCK_BYTES);
    disk.shadow = calloc(disk.blocks, sizeof *disk.shadow);
    disk.batch = aligned_alloc(BLOCK_BYTES, BATCH * BLOCK_BYTES);
    if (disk.shadow == NULL || disk.batch == NULL)
        return "cannot reserve memory for the disk";
    for (uint32_t block = 0, count; block < disk.blocks; block += count) {
        count = disk.blocks - block < BATCH ? disk.blocks - block : BATCH;
        for (uint32_t at = 0; at < count; at++)
            fill_block(disk.batch + at * (BLOCK_BYTES / sizeof(uint64_t)), block + at, 0);
        if (!transfer(true, block, count)) {
            snprintf(trouble, sizeof trouble, "cannot fill the disk: %s", strerror(errno));
            return trouble;
        }
    }
    return NULL;
}

/* What is wrong is counted before it is made right. */
static void rewrite_block(uint32_t block)
{
    uint32_t counter = disk.shadow[block] + 1;
    bool right = transfer(false, block, 1) && block_is_right(disk.batch, block);
    fill_block(disk.batch, block, counter);
    bool written = transfer(true, block, 1);
    if (written)
        disk.shadow[block] = counter;
    if (!right || !written)
        disk.wrong++;
}

static void *keep_writing(void *nothing)
{
    const struct timespec pause = {0, PAUSE_NS};
    uint64_t place = 1;
    for (;;) {
        nanosleep(&pause, NULL);
        place = place * 6364136223846793005 + 1442695040888963407;
        pthread_mutex_lock(&disk.lock);
        if (!*disk.paused)
            rewrite_block((uint32_t)((place >> 32) * disk.blocks >> 32));
        pthread_mutex_unlock(&disk.lock);
    }
    return nothing;
}

const char *disk_start(const volatile bool *paused)
{
    pthread_t thread;
    sigset_t all, before;
    disk.paused = paused;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    int failed = pthread_create(&thread, NULL, keep_writing, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? "cannot start the disk's thread" : NULL;
}

void disk_verify(uint32_t *blocks, uint64_t *wrong)
{
    pthread_mutex_lock(&disk.lock);
    for (uint32_t block = 0, count; block < disk.blocks; block += count) {
        count = disk.blocks - block < BATCH ? disk.blocks - block : BATCH;
        bool read = transfer(false, block, count);
        uint32_t bad[BATCH], many = 0;
        for (uint32_t at = 0; at < count; at++) {
            const uint64_t *words = disk.batch + at * (BLOCK_BYTES / sizeof(uint64_t));
            if (!read || !block_is_right(words, block + at))
                bad[many++] = block + at;
        }
        disk.wrong += many;
        for (uint32_t at = 0; at < many; at++) {
            fill_block(disk.batch, bad[at], disk.shadow[bad[at]]);
            transfer(true, bad[at], 1);
        }
    }
    *blocks = disk.blocks;
    *wrong = disk.wrong;
    pthread_mutex_unlock(&disk.lock);
}
