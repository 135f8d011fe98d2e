/*
 * The lab guest's PID 1: it keeps memory busy and bears witness to it.
 *
 * Memory is two runs of 4 KiB pages. Cold pages are written once, hot pages for ever. Every page's
 * content follows from (seed, page index), and that of a hot page's first and last word also from a
 * counter of its writes. The counters are kept a second time, in the shadow, so that a page which
 * arrives stale, torn, swapped or damaged does not match it, and is counted as wrong.
 *
 * Kernel command line:
 *   witness.cold=MiB witness.hot=MiB witness.seed=NUMBER
 *   witness.rate=PAGES_PER_SECOND         0: flat out
 *   witness.pattern=random | sequential | bursts:DUTY_PERCENT:PERIOD_MS
 *                 | reads                       checks pages at random, cold ones too; writes none
 *   witness.writers=NUMBER                threads that share the hot pages; 1 if not said
 *   witness.disk=PATH                     filled and rewritten too; see disk.h
 *   witness.run=PATH                      a program that it starts beside, once all is filled
 *
 * Said on the first serial port, one line each:
 *   READY cold=MiB hot=MiB pages=N fill_ms=N             memory is filled, heartbeats follow
 *   H <sequence> <uptime ms> <writes> <wrong>            every 20 ms, totals since the start; what
 *                                                        is read counts as a write
 *   V <pages checked> <pages wrong> <first wrong or -1>  the answer to `verify`; with a disk,
 *     <blocks checked> <blocks ever wrong>               these follow on the same line
 *   A <command>                                          any other command has been obeyed
 *   N <text>                                             not understood, or not possible
 *   E <text>                                             cannot work; the guest halts
 *
 * Heard on the second serial port: verify | pause | resume | rate PAGES_PER_SECOND
 *
 * A wrong page is made right when it is found, so that it is counted once.
 *
 * Outside a guest: witness 'COMMAND LINE' TTY TTY does the same on two terminals.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "disk.h"
#include "hash.h"

enum {
    PAGE_BYTES = 4096,
    WORDS = PAGE_BYTES / sizeof(uint64_t),
    LAST = WORDS - 1,
    PAGES_PER_MIB = (1 << 20) / PAGE_BYTES,
    HEARTBEAT_MS = 20,
    /* Between two looks at the clock in a burst: about a sixth of a millisecond under TCG. */
    BURST_BATCH = 64,
    /* What it computes after each page when it works flat out, in multiplications. */
    THOUGHT = 2000,
    LINE_BYTES = 160,
    MOST_WRITERS = 64,
};

static const uint64_t NS_PER_S = 1000000000;
static const uint64_t NS_PER_MS = 1000000;

/* Writes missed in a longer stall are not made up for: a frozen guest's work is lost. */
static const uint64_t BACKLOG_NS = 50 * 1000000;

/* Sleeping less costs more in timer interrupts than the writes themselves do. */
static const uint64_t SHORTEST_SLEEP_NS = 1000000;

static const uint64_t MOST_MIB = 1 << 20;
static const uint64_t HIGHEST_RATE = 10000000;
static const uint64_t LONGEST_PERIOD_MS = 60000;

/* What the guest is to do, as asked for. */
static struct {
    uint64_t cold_mib, hot_mib, rate, seed, writers;
    bool sequential, reads;
    volatile bool paused;         /* of the disk's thread too */
    uint64_t burst_ns, period_ns; /* both 0: no bursts */
    char disk[LINE_BYTES];        /* empty: none */
    char run[LINE_BYTES];         /* empty: none */
} ask = {.seed = 1, .writers = 1};

/* Cold pages come first; a page's index counts over both. */
static struct {
    uint64_t *pages;
    uint32_t cold, hot;
    uint32_t *shadow;
} memory;

/* Who works on which pages. The first is the main thread, which obeys commands as well. */
static struct writer {
    uint32_t first, count;  /* its pages */
    uint64_t place;         /* the one it came to, or the state of its random numbers */
    uint64_t last, credit;  /* credit: a page costs NS_PER_S */
    uint64_t thought;       /* what it came to by computing, so that it has to */
    volatile uint64_t writes, wrong;
} __attribute__((aligned(64))) writers[MOST_WRITERS];

/* While it is held, every writer but the first stands still, and says so in `standing`. */
static volatile bool held;
static volatile uint32_t standing;

/* What the heartbeat's signal handler reads or writes. */
static volatile sig_atomic_t ticked;
static uint64_t sequence;

static bool is_init;
static int speech = STDOUT_FILENO, commands = -1;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- Speech: whole lines only, and never waiting for the line ------------------------------- */

static char unsaid[4096];
static size_t unsaid_bytes;

static void flush_speech(void)
{
    while (unsaid_bytes > 0) {
        ssize_t sent = write(speech, unsaid, unsaid_bytes);
        if (sent <= 0)
            return;
        unsaid_bytes -= (size_t)sent;
        memmove(unsaid, unsaid + sent, unsaid_bytes);
    }
}

/* Only with SIGALRM held back, or from its handler. */
static void say_now(const char *line, size_t bytes)
{
    if (unsaid_bytes + bytes <= sizeof unsaid) {
        memcpy(unsaid + unsaid_bytes, line, bytes);
        unsaid_bytes += bytes;
    }
    flush_speech();
}

static void hold_heartbeat(int how)
{
    sigset_t alarm_only;
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    sigprocmask(how, &alarm_only, NULL);
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(line, sizeof line - 1, format, values);
    va_end(values);
    size_t bytes = (size_t)length < sizeof line - 1 ? (size_t)length : sizeof line - 2;
    line[bytes++] = '\n';
    hold_heartbeat(SIG_BLOCK);
    say_now(line, bytes);
    hold_heartbeat(SIG_UNBLOCK);
}

static char *put_number(char *at, uint64_t value)
{
    char digits[20];
    int count = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while (value /= 10);
    *at++ = ' ';
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

static void heartbeat(int signal_number)
{
    (void)signal_number;
    int saved = errno;
    char line[LINE_BYTES] = "H", *end = line + 1;
    end = put_number(end, sequence++);
    end = put_number(end, now_ns() / NS_PER_MS);
    uint64_t writes = 0, wrong = 0;
    for (uint64_t at = 0; at < ask.writers; at++) {
        writes += writers[at].writes;
        wrong += writers[at].wrong;
    }
    end = put_number(end, writes);
    end = put_number(end, wrong);
    *end++ = '\n';
    say_now(line, (size_t)(end - line));
    ticked = 1;
    errno = saved;
}

static void start_heartbeat(void)
{
    struct sigaction action = {.sa_handler = heartbeat, .sa_flags = SA_RESTART};
    struct itimerval every = {{0, HEARTBEAT_MS * 1000}, {0, HEARTBEAT_MS * 1000}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
}

__attribute__((noreturn)) static void give_up(const char *text)
{
    const struct timespec shortly = {0, 1000000};
    say("E %s", text);
    for (int tries = 0; unsaid_bytes > 0 && tries < 1000; tries++) {
        nanosleep(&shortly, NULL);
        flush_speech();
    }
    tcdrain(speech);
    if (!is_init)
        exit(1);
    for (;;)
        reboot(RB_HALT_SYSTEM);
}

/* ---- Parameters ------------------------------------------------------------------------------ */

static bool parse_number(const char *text, uint64_t most, uint64_t *value)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0 && *value <= most;
}

static bool parse_pattern(char *text)
{
    uint64_t duty, period_ms;
    ask.sequential = strcmp(text, "sequential") == 0;
    ask.reads = strcmp(text, "reads") == 0;
    if (ask.sequential || ask.reads || strcmp(text, "random") == 0)
        return true;
    if (strncmp(text, "bursts:", 7) != 0)
        return false;
    char *second = strchr(text + 7, ':');
    if (second == NULL)
        return false;
    *second++ = '\0';
    if (!parse_number(text + 7, 100, &duty) || !parse_number(second, LONGEST_PERIOD_MS, &period_ms))
        return false;
    ask.period_ns = period_ms * NS_PER_MS;
    ask.burst_ns = ask.period_ns / 100 * duty;
    return ask.burst_ns > 0;
}

static bool parse_parameter(const char *name, char *value)
{
    if (strcmp(name, "cold") == 0)
        return parse_number(value, MOST_MIB, &ask.cold_mib);
    if (strcmp(name, "hot") == 0)
        return parse_number(value, MOST_MIB, &ask.hot_mib);
    if (strcmp(name, "rate") == 0)
        return parse_number(value, HIGHEST_RATE, &ask.rate);
    if (strcmp(name, "seed") == 0)
        return parse_number(value, UINT64_MAX, &ask.seed);
    if (strcmp(name, "writers") == 0)
        return parse_number(value, MOST_WRITERS, &ask.writers) && ask.writers > 0;
    if (strcmp(name, "pattern") == 0)
        return parse_pattern(value);
    if (strcmp(name, "disk") == 0)
        return (size_t)snprintf(ask.disk, sizeof ask.disk, "%s", value) < sizeof ask.disk;
    if (strcmp(name, "run") == 0)
        return (size_t)snprintf(ask.run, sizeof ask.run, "%s", value) < sizeof ask.run;
    return false;
}

static void parse_command_line(char *line)
{
    static const char PREFIX[] = "witness.";
    for (char *word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n")) {
        if (strncmp(word, PREFIX, sizeof PREFIX - 1) != 0)
            continue;
        char as_given[LINE_BYTES];
        snprintf(as_given, sizeof as_given, "bad parameter %s", word);
        char *value = strchr(word, '=');
        if (value == NULL)
            give_up(as_given);
        *value++ = '\0';
        if (!parse_parameter(word + sizeof PREFIX - 1, value))
            give_up(as_given);
    }
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static inline uint64_t *page_at(uint32_t index)
{
    return memory.pages + (size_t)index * WORDS;
}

static inline void set_stamp(uint64_t *page, uint32_t index, uint32_t counter)
{
    page[0] = counter;
    page[LAST] = stamp(ask.seed, index, counter);
}

static void fill_page(uint32_t index)
{
    uint64_t *page = page_at(index), word = first_word(ask.seed, index);
    for (int at = 0; at < WORDS; at++)
        page[at] = word + (uint64_t)at * STEP;
    if (index >= memory.cold)
        set_stamp(page, index, memory.shadow[index - memory.cold]);
}

static bool page_is_right(uint32_t index)
{
    const uint64_t *page = page_at(index);
    uint64_t word = first_word(ask.seed, index), different = 0;
    for (int at = 1; at < LAST; at++)
        different |= page[at] ^ (word + (uint64_t)at * STEP);
    if (index < memory.cold)
        return (different | (page[0] ^ word) | (page[LAST] ^ (word + LAST * STEP))) == 0;
    uint32_t counter = memory.shadow[index - memory.cold];
    return (different | (page[0] ^ counter) | (page[LAST] ^ stamp(ask.seed, index, counter))) == 0;
}

static inline void rewrite(struct writer *who, uint32_t index)
{
    uint32_t hot_index = index - memory.cold, counter = memory.shadow[hot_index];
    uint64_t *page = page_at(index);
    if (page[0] != counter || page[LAST] != stamp(ask.seed, index, counter)) {
        who->wrong++;
        fill_page(index);
    }
    memory.shadow[hot_index] = ++counter;
    set_stamp(page, index, counter);
    who->writes++;
}

/* One word is enough to need the page; `verify` reads them all. */
static inline void look_at(struct writer *who, uint32_t index)
{
    const volatile uint64_t *word = page_at(index) + 1;
    if (*word != first_word(ask.seed, index) + STEP) {
        who->wrong++;
        fill_page(index);
    }
    who->writes++;
}

/* ---- Several writers -------------------------------------------------------------------------- */

static void hold_writers(void)
{
    const struct timespec shortly = {0, 100000};
    held = true;
    while (standing < ask.writers - 1)
        nanosleep(&shortly, NULL);
}

static void stand_still(void)
{
    const struct timespec shortly = {0, 1000000};
    __atomic_add_fetch(&standing, 1, __ATOMIC_SEQ_CST);
    while (held)
        nanosleep(&shortly, NULL);
    __atomic_sub_fetch(&standing, 1, __ATOMIC_SEQ_CST);
}

static void verify(void)
{
    uint32_t pages = memory.cold + memory.hot, bad = 0;
    long first = -1;
    hold_writers();
    for (uint32_t index = 0; index < pages; index++) {
        if (page_is_right(index))
            continue;
        if (bad++ == 0)
            first = index;
        fill_page(index);
    }
    held = false;
    if (*ask.disk == '\0') {
        say("V %u %u %ld", pages, bad, first);
        return;
    }
    uint32_t blocks;
    uint64_t blocks_wrong;
    disk_verify(&blocks, &blocks_wrong);
    say("V %u %u %ld %u %llu", pages, bad, first, blocks, (unsigned long long)blocks_wrong);
}

static void *reserve(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        give_up("cannot reserve memory");
    return at;
}

static void fill_memory(void)
{
    struct sysinfo now;
    memory.cold = (uint32_t)(ask.cold_mib * PAGES_PER_MIB);
    memory.hot = (uint32_t)(ask.hot_mib * PAGES_PER_MIB);
    size_t page_bytes = ((size_t)memory.cold + memory.hot) * PAGE_BYTES;
    size_t shadow_bytes = (size_t)memory.hot * sizeof *memory.shadow;
    if (sysinfo(&now) == 0 && (uint64_t)now.freeram * now.mem_unit < page_bytes + shadow_bytes) {
        char text[LINE_BYTES];
        snprintf(text, sizeof text, "%zu MiB wanted, %llu MiB free",
                 (page_bytes + shadow_bytes) >> 20,
                 (unsigned long long)now.freeram * now.mem_unit >> 20);
        give_up(text);
    }
    if (page_bytes > 0)
        memory.pages = reserve(page_bytes);
    if (shadow_bytes > 0)
        memory.shadow = reserve(shadow_bytes);
    for (uint32_t index = 0; index < memory.cold + memory.hot; index++)
        fill_page(index);
}

/* ---- Commands -------------------------------------------------------------------------------- */

static void obey(char *command)
{
    uint64_t rate;
    if (strcmp(command, "verify") == 0) {
        verify();
        return;
    }
    if (strcmp(command, "pause") == 0) {
        ask.paused = true;
    } else if (strcmp(command, "resume") == 0) {
        ask.paused = false;
    } else if (strncmp(command, "rate ", 5) == 0 &&
               parse_number(command + 5, HIGHEST_RATE, &rate)) {
        ask.rate = rate;
    } else {
        say("N %s", command);
        return;
    }
    say("A %s", command);
}

static void listen_to_commands(void)
{
    static char heard[LINE_BYTES / 2];
    static size_t bytes;
    char byte;
    while (read(commands, &byte, 1) == 1) {
        if (byte != '\n' && byte != '\r') {
            /* A line too long is no command: its end is kept, and is not understood. */
            if (bytes == sizeof heard - 1)
                bytes = 0;
            heard[bytes++] = byte;
        } else if (bytes > 0) {
            heard[bytes] = '\0';
            bytes = 0;
            obey(heard);
        }
    }
}

/* ---- Work ------------------------------------------------------------------------------------ */

/* Another writer's rest is cut up, so that it hears when it is to stand still. */
static void idle(struct writer *who, uint64_t ns)
{
    if (who != writers && ns > SHORTEST_SLEEP_NS * HEARTBEAT_MS)
        ns = SHORTEST_SLEEP_NS * HEARTBEAT_MS;
    struct timespec wait = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
    if (who != writers) {
        nanosleep(&wait, NULL);
        return;
    }
    struct pollfd heard = {.fd = commands, .events = POLLIN};
    if (ppoll(&heard, 1, &wait, NULL) > 0 && heard.revents & POLLIN)
        ticked = 1;
}

/* How many pages may be written before the next look at the clock; 0 after a wait for the time. */
static uint64_t pages_due(struct writer *who)
{
    if (who->count == 0 || ask.paused) {
        who->last = 0;
        idle(who, NS_PER_S);
        return 0;
    }
    if (ask.rate == 0 && ask.period_ns == 0)
        return UINT64_MAX;
    uint64_t now = now_ns(), since = who->last == 0 ? 0 : now - who->last;
    who->last = now;
    if (ask.period_ns > 0 && now % ask.period_ns >= ask.burst_ns) {
        who->last = 0;
        idle(who, ask.period_ns - now % ask.period_ns);
        return 0;
    }
    if (ask.rate == 0)
        return BURST_BATCH;
    /* The rate is that of all writers together. */
    const uint64_t cost = NS_PER_S * ask.writers;
    who->credit = who->credit % cost + (since < BACKLOG_NS ? since : BACKLOG_NS) * ask.rate;
    if (who->credit < cost) {
        uint64_t until_next = (cost - who->credit) / ask.rate;
        idle(who, until_next > SHORTEST_SLEEP_NS ? until_next : SHORTEST_SLEEP_NS);
    }
    return who->credit / cost;
}

/* The next of a row of random numbers. */
static inline uint64_t step(uint64_t value)
{
    return value * 6364136223846793005 + 1442695040888963407;
}

static inline uint32_t next_page(struct writer *who)
{
    if (ask.sequential) {
        who->place = who->place + 1 < who->count ? who->place + 1 : 0;
        return who->first + (uint32_t)who->place;
    }
    who->place = step(who->place);
    return who->first + (uint32_t)((who->place >> 32) * who->count >> 32);
}

/*
 * Who only touches one page after the other waits for memory most of the time, and so for caches
 * that its host shares with strangers: from one minute to the next its pace drifted by half.
 */
static inline uint64_t think(uint64_t value)
{
    for (int at = 0; at < THOUGHT; at++)
        value = step(value);
    return value;
}

static inline void do_one(struct writer *who)
{
    uint32_t page = next_page(who);
    if (ask.reads)
        look_at(who, page);
    else
        rewrite(who, page);
    if (ask.rate == 0)
        who->thought = think(who->thought ^ page);
}

/* Whether there is something to do besides: commands for the first writer, a halt for others. */
static inline bool is_called(const struct writer *who)
{
    return who == writers ? ticked : held;
}

static void work_until_called(struct writer *who)
{
    uint64_t due = 0;
    while (!is_called(who)) {
        if (due == 0 || ask.paused)
            due = pages_due(who);
        for (; due > 0 && !is_called(who); due -= due != UINT64_MAX)
            do_one(who);
    }
}

static void *work_beside(void *who)
{
    for (;;) {
        work_until_called(who);
        stand_still();
    }
    return NULL;
}

static void start_other_writers(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    for (uint64_t at = 1; at < ask.writers; at++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work_beside, &writers[at]) != 0)
            give_up("cannot start its writers");
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void share_pages_out(void)
{
    uint64_t first = ask.reads ? 0 : memory.cold, pages = memory.cold + memory.hot - first;
    for (uint64_t at = 0; at < ask.writers; at++) {
        uint64_t begin = pages * at / ask.writers, end = pages * (at + 1) / ask.writers;
        writers[at].first = (uint32_t)(first + begin);
        writers[at].count = (uint32_t)(end - begin);
        writers[at].place = at + 1;
    }
}

__attribute__((noreturn)) static void work(void)
{
    for (;;) {
        if (ticked) {
            ticked = 0;
            listen_to_commands();
        }
        work_until_called(writers);
    }
}

static int open_raw(const char *path)
{
    int line = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
    struct termios raw;
    if (line >= 0 && tcgetattr(line, &raw) == 0) {
        cfmakeraw(&raw);
        raw.c_cflag |= CLOCAL | CREAD;
        tcsetattr(line, TCSANOW, &raw);
    }
    return line;
}

/* Faults of 2 MiB fill memory several times faster; the kernel leaves them off below 512 MiB. */
static void ask_for_huge_pages(void)
{
    static const char always[] = "always";
    mount("sys", "/sys", "sysfs", 0, NULL);
    int setting = open("/sys/kernel/mm/transparent_hugepage/enabled", O_WRONLY);
    if (setting < 0 || write(setting, always, sizeof always - 1) < 0)
        say("N huge pages: %s", strerror(errno));
    close(setting);
}

static void must(const char *trouble)
{
    if (trouble != NULL)
        give_up(trouble);
}

/* Debian's kernels for clouds have the driver of such disks as a module. */
static void load_disk_driver(void)
{
    int module = open("/virtio_blk.ko", O_RDONLY);
    if (module < 0)
        return;
    if (syscall(SYS_finit_module, module, "", 0) < 0)
        say("N virtio_blk: %s", strerror(errno));
    close(module);
}

/* As init it would have to bury every process that nobody waits for: the kernel does it instead. */
static void start_program(void)
{
    char *words[] = {ask.run, NULL};
    signal(SIGCHLD, SIG_IGN);
    pid_t child = fork();
    if (child < 0)
        give_up("cannot start a process");
    if (child > 0)
        return;
    signal(SIGCHLD, SIG_DFL);
    setsid();
    execv(ask.run, words);
    say("E cannot run %s: %s", ask.run, strerror(errno));
    _exit(127);
}

int main(int count, char **arguments)
{
    static char command_line[4096];
    const char *lines[] = {"/dev/ttyS0", "/dev/ttyS1"};
    is_init = getpid() == 1;
    if (is_init) {
        mount("dev", "/dev", "devtmpfs", 0, NULL);
        mount("proc", "/proc", "proc", 0, NULL);
        int source = open("/proc/cmdline", O_RDONLY);
        if (source >= 0 && read(source, command_line, sizeof command_line - 1) < 0)
            command_line[0] = '\0';
        close(source);
    } else if (count == 4) {
        snprintf(command_line, sizeof command_line, "%s", arguments[1]);
        lines[0] = arguments[2];
        lines[1] = arguments[3];
    } else {
        fprintf(stderr, "usage: %s 'COMMAND LINE' TTY TTY\n", arguments[0]);
        return 64;
    }
    int opened = open_raw(lines[0]);
    if (opened >= 0)
        speech = opened;
    commands = open_raw(lines[1]);

    parse_command_line(command_line);
    if (is_init)
        ask_for_huge_pages();
    uint64_t started = now_ns();
    if (*ask.disk != '\0') {
        if (is_init)
            load_disk_driver();
        must(disk_open(ask.disk, ask.seed));
    }
    fill_memory();
    share_pages_out();
    if (*ask.disk != '\0')
        must(disk_start(&ask.paused));
    say("READY cold=%llu hot=%llu pages=%u fill_ms=%llu", (unsigned long long)ask.cold_mib,
        (unsigned long long)ask.hot_mib, memory.cold + memory.hot,
        (unsigned long long)((now_ns() - started) / NS_PER_MS));
    if (*ask.run != '\0')
        start_program();
    start_heartbeat();
    start_other_writers();
    work();
}
