/* The filesystem of tree.rs on libfuse's low-level API. Its constants come from there, with -D. */
#define FUSE_USE_VERSION 312
#define _GNU_SOURCE

#include <errno.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

static char *content;
static char entries[ENTRIES][16];
static atomic_bool new_exists[CALLERS];
static atomic_bool ending;

static bool is_directory(fuse_ino_t ino) {
    return ino < FILES;
}

static void fill(struct stat *attr, fuse_ino_t ino) {
    memset(attr, 0, sizeof *attr);
    attr->st_ino = ino;
    attr->st_mode = (is_directory(ino) ? S_IFDIR : S_IFREG) | PERM;
    attr->st_size = is_directory(ino) ? 0 : FILE_SIZE;
    attr->st_nlink = 1;
    attr->st_blksize = 4096;
}

static struct fuse_entry_param entry(fuse_ino_t ino) {
    struct fuse_entry_param entry = {.ino = ino};
    fill(&entry.attr, ino);
    return entry;
}

/* Whose directory it is; CALLERS or more: nobody's. */
static fuse_ino_t caller(fuse_ino_t directory) {
    return directory < DIRECTORIES ? CALLERS : directory - DIRECTORIES;
}

static fuse_ino_t child(fuse_ino_t parent, const char *name) {
    if (parent == FUSE_ROOT_ID) {
        char *end;
        if (strncmp(name, DIRECTORY, strlen(DIRECTORY)) != 0)
            return 0;
        fuse_ino_t number = strtoul(name + strlen(DIRECTORY), &end, 10);
        return *end == 0 && number < CALLERS ? DIRECTORIES + number : 0;
    }
    fuse_ino_t who = caller(parent);
    if (who >= CALLERS)
        return 0;
    if (strcmp(name, FILE_NAME) == 0)
        return FILES + who;
    if (strcmp(name, SLOW) == 0)
        return SLOWS + who;
    if (strcmp(name, NEW) == 0 && atomic_load_explicit(&new_exists[who], memory_order_relaxed))
        return NEWS + who;
    return 0;
}

static void do_init(void *data, struct fuse_conn_info *connection) {
    (void)data;
    connection->max_write = MAX_WRITE;
}

static void do_lookup(fuse_req_t request, fuse_ino_t parent, const char *name) {
    fuse_ino_t ino = child(parent, name);
    if (ino == 0) {
        fuse_reply_err(request, ENOENT);
        return;
    }
    struct fuse_entry_param found = entry(ino);
    fuse_reply_entry(request, &found);
}

static void do_getattr(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info) {
    struct stat attr;
    (void)info;
    fill(&attr, ino);
    fuse_reply_attr(request, &attr, 0);
}

static void do_unlink(fuse_req_t request, fuse_ino_t parent, const char *name) {
    fuse_ino_t who = caller(parent);
    bool there = who < CALLERS && strcmp(name, NEW) == 0 &&
                 atomic_exchange_explicit(&new_exists[who], false, memory_order_relaxed);
    fuse_reply_err(request, there ? 0 : ENOENT);
}

static void do_open(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info) {
    info->fh = ino;
    info->direct_io = 1;
    fuse_reply_open(request, info);
}

static void do_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *info) {
    fuse_ino_t who = caller(parent);
    (void)mode;
    if (who >= CALLERS || strcmp(name, NEW) != 0) {
        fuse_reply_err(request, EACCES);
        return;
    }
    atomic_store_explicit(&new_exists[who], true, memory_order_relaxed);
    struct fuse_entry_param created = entry(NEWS + who);
    info->fh = created.ino;
    info->direct_io = 1;
    fuse_reply_create(request, &created, info);
}

static void do_read(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *info) {
    (void)info;
    if (ino >= SLOWS && ino < OTHERS) {
        struct timespec delay = {.tv_nsec = DELAY_NS};
        nanosleep(&delay, NULL);
    }
    size_t begin = offset > FILE_SIZE ? FILE_SIZE : (size_t)offset;
    size_t rest = FILE_SIZE - begin;
    fuse_reply_buf(request, content + begin, size < rest ? size : rest);
}

static void do_write(fuse_req_t request, fuse_ino_t ino, const char *data, size_t size,
                     off_t offset, struct fuse_file_info *info) {
    (void)ino, (void)data, (void)offset, (void)info;
    fuse_reply_write(request, size);
}

static void do_flush(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info) {
    (void)ino, (void)info;
    fuse_reply_err(request, 0);
}

static void do_readdir(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *info) {
    (void)ino, (void)info;
    char *listing = malloc(size);
    size_t used = 0;
    if (listing == NULL) {
        fuse_reply_err(request, ENOMEM);
        return;
    }
    for (off_t next = offset + 1; next <= ENTRIES; next++) {
        struct stat attr = {.st_ino = OTHERS + next, .st_mode = S_IFREG};
        size_t needed = fuse_add_direntry(request, listing + used, size - used, entries[next - 1],
                                          &attr, next);
        if (needed > size - used)
            break;
        used += needed;
    }
    fuse_reply_buf(request, listing, used);
    free(listing);
}

static const struct fuse_lowlevel_ops operations = {
    .init = do_init,
    .lookup = do_lookup,
    .getattr = do_getattr,
    .unlink = do_unlink,
    .open = do_open,
    .create = do_create,
    .read = do_read,
    .write = do_write,
    .flush = do_flush,
    .release = do_flush,
    .readdir = do_readdir,
};

/* The standard input ends when the bench does. */
static void *unmount_when_told(void *mountpoint) {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    atomic_store(&ending, true);
    umount2(mountpoint, MNT_DETACH);
    rmdir(mountpoint);
    _exit(0);
}

static int run(struct fuse_session *session, int threads) {
    if (threads == 1)
        return fuse_session_loop(session);
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    fuse_loop_cfg_set_max_threads(config, threads);
    fuse_loop_cfg_set_idle_threads(config, threads);
    fuse_loop_cfg_set_clone_fd(config, 1);
    return fuse_session_loop_mt(session, config);
}

int main(int argc, char **argv) {
    pthread_t thread;
    char *words[] = {argv[0], "-ofsname=benches"};
    struct fuse_args args = FUSE_ARGS_INIT(2, words);
    if (argc != 3)
        return 2;
    int threads = atoi(argv[2]);

    content = malloc(FILE_SIZE);
    if (content == NULL)
        return 1;
    memset(content, BYTE, FILE_SIZE);
    for (int i = 0; i < ENTRIES; i++)
        snprintf(entries[i], sizeof entries[i], ENTRY "%03d", i);

    struct fuse_session *session = fuse_session_new(&args, &operations, sizeof operations, NULL);
    if (session == NULL || fuse_session_mount(session, argv[1]) != 0)
        return 1;
    if (pthread_create(&thread, NULL, unmount_when_told, argv[1]) != 0)
        return 1;
    int error = run(session, threads);
    if (atomic_load(&ending))
        pthread_join(thread, NULL);
    return error != 0;
}
