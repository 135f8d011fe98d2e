/*
 * The witness's disk: filled once, then rewritten block by block from a thread of its own.
 *
 * Each sector of 512 bytes follows from (seed, its number, a counter of its block's writes), and
 * the counters are kept a second time in memory: the shadow. What is checked against it is read
 * past the guest's page cache, so that it comes from the disk.
 */
#ifndef DISK_H
#define DISK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Open and fill a disk, or a file that takes its place outside a guest. Whatever it held is lost.
 * Return NULL, or what went wrong.
 */
const char *disk_open(const char *path, uint64_t seed);

/* Begin to rewrite it, except while `*paused`. Return NULL, or what went wrong. */
const char *disk_start(const volatile bool *paused);

/*
 * Check every block, and make right what is wrong. `blocks` gets how many there are, `wrong` how
 * many were ever found wrong or could not be read or written, by this or by the thread.
 */
void disk_verify(uint32_t *blocks, uint64_t *wrong);

#endif
