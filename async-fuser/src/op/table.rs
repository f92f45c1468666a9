//! The table of operations.

/// Hands every operation a filesystem may implement to `$then!`, one row each.
///
/// ```text
/// Struct [CODE = number since minor, ...] method via sync_method(fields) -> Answer;
/// ```
///
/// - the struct in this folder, and the kernel's opcodes that decode into it, each with the minor
///   of ABI 7 that brought it;
/// - the method, of the same name on both traits; `via` names the sync trait's form where that
///   trait has one that takes more than fuser's did;
/// - the struct's fields in the order the sync trait takes them; `field as Type` hands the method a
///   `Type` made from the field and the way to the kernel;
/// - the answer. A row without one gets no reply.
///
/// To add an operation, add its row: the compiler then asks for the struct with its decoding, and
/// for the methods.
#[cfg(not(target_os = "macos"))]
macro_rules! for_each_operation {
    ($then:ident) => {
        crate::op::rows! { $then }
    };
}

/// As [`for_each_operation`], with those that other systems have.
macro_rules! for_each_operation_anywhere {
    ($then:ident) => {
        crate::op::rows! { $then
            Setvolname  [SETVOLNAME = 61 since 0]   setvolname(name) -> Empty;
            Getxtimes   [GETXTIMES = 62 since 0]    getxtimes(ino) -> XTimes;
            Exchange    [EXCHANGE = 63 since 0]
                exchange(parent, name, newparent, newname, options) -> Empty;
        }
    };
}

/// The rows of every system, and `$more`.
macro_rules! rows {
    ($then:ident $($more:tt)*) => { $then! {
        Lookup      [LOOKUP = 1 since 0]        lookup(parent, name) -> Entry;
        Forget      [FORGET = 2 since 0]        forget(ino, nlookup);
        BatchForget [BATCH_FORGET = 42 since 16] batch_forget(nodes);
        Getattr     [GETATTR = 3 since 0]       getattr(ino, fh) -> Attr;
        Setattr     [SETATTR = 4 since 0]
            setattr via setattr_killpriv(ino, mode, uid, gid, size, atime, mtime, ctime, fh,
                crtime, chgtime, bkuptime, flags, kill_suid_gid) -> Attr;
        Statx       [STATX = 52 since 39]       statx(ino, fh, flags, mask) -> Statx;
        Readlink    [READLINK = 5 since 0]      readlink(ino) -> Data;
        Mknod       [MKNOD = 8 since 0]         mknod(parent, name, mode, umask, rdev) -> Entry;
        Mkdir       [MKDIR = 9 since 0]         mkdir(parent, name, mode, umask) -> Entry;
        Unlink      [UNLINK = 10 since 0]       unlink(parent, name) -> Empty;
        Rmdir       [RMDIR = 11 since 0]        rmdir(parent, name) -> Empty;
        Symlink     [SYMLINK = 6 since 0]       symlink(parent, link_name, target) -> Entry;
        Rename      [RENAME = 12 since 0, RENAME2 = 45 since 23]
            rename(parent, name, newparent, newname, flags) -> Empty;
        Link        [LINK = 13 since 0]         link(ino, newparent, newname) -> Entry;
        Open        [OPEN = 14 since 0]
            open via open_killpriv(ino, flags, kill_suid_gid) -> Opened;
        Read        [READ = 15 since 0]
            read(ino, fh, offset, size, flags, lock_owner) -> Data;
        Write       [WRITE = 16 since 0]
            write(ino, fh, offset, data, write_flags, flags, lock_owner) -> Written;
        Flush       [FLUSH = 25 since 0]        flush(ino, fh, lock_owner) -> Empty;
        Release     [RELEASE = 18 since 0]
            release(ino, fh, flags, lock_owner, flush) -> Empty;
        Fsync       [FSYNC = 20 since 0]        fsync(ino, fh, datasync) -> Empty;
        Opendir     [OPENDIR = 27 since 0]      opendir(ino, flags) -> Opened;
        Readdir     [READDIR = 28 since 0]      readdir(ino, fh, offset) -> Listing;
        Readdirplus [READDIRPLUS = 44 since 21] readdirplus(ino, fh, offset) -> ListingPlus;
        Releasedir  [RELEASEDIR = 29 since 0]   releasedir(ino, fh, flags) -> Empty;
        Fsyncdir    [FSYNCDIR = 30 since 0]     fsyncdir(ino, fh, datasync) -> Empty;
        Statfs      [STATFS = 17 since 0]       statfs(ino) -> Statfs;
        Setxattr    [SETXATTR = 21 since 0]
            setxattr(ino, name, value, flags, position) -> Empty;
        Getxattr    [GETXATTR = 22 since 0]     getxattr(ino, name, size) -> Xattr;
        Listxattr   [LISTXATTR = 23 since 0]    listxattr(ino, size) -> Xattr;
        Removexattr [REMOVEXATTR = 24 since 0]  removexattr(ino, name) -> Empty;
        Access      [ACCESS = 34 since 0]       access(ino, mask) -> Empty;
        Create      [CREATE = 35 since 0]
            create via create_killpriv(parent, name, mode, umask, flags, kill_suid_gid) -> Created;
        Tmpfile     [TMPFILE = 51 since 37]     tmpfile(parent, mode, umask, flags) -> Created;
        Getlk       [GETLK = 31 since 0]
            getlk(ino, fh, lock_owner, start, end, typ, pid) -> Lock;
        Setlk       [SETLK = 32 since 0, SETLKW = 33 since 0]
            setlk via setlk_flock(ino, fh, lock_owner, start, end, typ, pid, sleep, flock) -> Empty;
        Bmap        [BMAP = 37 since 0]         bmap(ino, blocksize, idx) -> Block;
        Ioctl       [IOCTL = 39 since 11]
            ioctl(ino, fh, flags, cmd, in_data, out_size) -> Ioctl;
        Poll        [POLL = 40 since 11]
            poll(ino, fh, kh as PollNotifier, events, flags) -> Poll;
        Fallocate   [FALLOCATE = 43 since 19]   fallocate(ino, fh, offset, length, mode) -> Empty;
        Lseek       [LSEEK = 46 since 24]       lseek(ino, fh, offset, whence) -> Offset;
        CopyFileRange [COPY_FILE_RANGE = 47 since 28, COPY_FILE_RANGE_64 = 53 since 45]
            copy_file_range(ino_in, fh_in, offset_in, ino_out, fh_out, offset_out, len, flags)
                -> Written;
        Syncfs      [SYNCFS = 50 since 34]      syncfs(ino) -> Empty;
        $($more)*
    } };
}
#[cfg(not(target_os = "macos"))]
pub(crate) use for_each_operation;
#[cfg(target_os = "macos")]
pub(crate) use for_each_operation_anywhere as for_each_operation;
pub(crate) use {for_each_operation_anywhere, rows};

/// Hands every message that is the session's own business to `$then!`: a filesystem has no method
/// for these.
macro_rules! for_each_control {
    ($then:ident) => {
        $then! {
            Init          [INIT = 26 since 0];
            Interrupt     [INTERRUPT = 36 since 0];
            Destroy       [DESTROY = 38 since 0];
            NotifyReply   [NOTIFY_REPLY = 41 since 15];
            SetupMapping  [SETUPMAPPING = 48 since 31];
            RemoveMapping [REMOVEMAPPING = 49 since 31];
            CuseInit      [CUSE_INIT = 4096 since 12];
        }
    };
}
pub(crate) use for_each_control;
