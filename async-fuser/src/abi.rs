//! The kernel's FUSE ABI 7.45: its structs, field for field, and its constants.
//!
//! Names are those of `linux/fuse.h`; the one exception is a field called `type`, which is `r#type`.
//! Macros that only name a size in C (`FUSE_NAME_OFFSET`, `FUSE_REC_ALIGN`, ...) are `size_of` here.
//! This file needs nothing of the crate, so that a test can include it and hold it against the
//! header that is installed.

#![allow(dead_code, reason = "the ABI is written down whole, whoever needs which part of it")]

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Writes structs down once: as the struct, as a check of its size by the compiler, and (in tests)
/// as a row of the table `$layouts`.
macro_rules! wire {
    ($layouts:ident; $($(#[$doc:meta])* struct $name:ident [$size:literal] { $($field:ident: $ty:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[repr(C)]
            #[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
            #[allow(non_camel_case_types)]
            pub(crate) struct $name { $(pub(crate) $field: $ty,)* }

            impl Default for $name {
                fn default() -> Self {
                    Self::new_zeroed()
                }
            }

            const _: () = assert!(size_of::<$name>() == $size);
        )*

        #[cfg(test)]
        pub(crate) const $layouts: &[Layout] = &[$(Layout {
            name: stringify!($name),
            size: size_of::<$name>(),
            fields: &[$(Field {
                name: stringify!($field),
                offset: std::mem::offset_of!($name, $field),
                size: size_of::<$ty>(),
            },)*],
        },)*];
    };
}

/// Writes constants down once: as the constant and (in tests) as a row of the table `$table`.
macro_rules! constants {
    ($table:ident; $($ty:ident { $($(#[$doc:meta])* $name:ident = $value:expr,)* })*) => {
        $($(
            $(#[$doc])*
            pub(crate) const $name: $ty = $value;
        )*)*

        #[cfg(test)]
        pub(crate) const $table: &[(&str, u64)] = &[$($((stringify!($name), $name as u64),)*)*];
    };
}

/// Where a struct's bytes are, for comparison with the C header.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) name: &'static str,
    pub(crate) size: usize,
    pub(crate) fields: &'static [Field],
}

/// Where a field's bytes are.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) offset: usize,
    pub(crate) size: usize,
}

// What every request and every reply begins with.
wire! { HEADERS;
    struct fuse_in_header [40] {
        len: u32,
        opcode: u32,
        unique: u64,
        nodeid: u64,
        uid: u32,
        gid: u32,
        pid: u32,
        total_extlen: u16,
        padding: u16,
    }

    struct fuse_out_header [16] {
        len: u32,
        error: i32,
        unique: u64,
    }
}

// INIT.
wire! { INIT;
    struct fuse_init_in [64] {
        major: u32,
        minor: u32,
        max_readahead: u32,
        flags: u32,
        flags2: u32,
        unused: [u32; 11],
    }

    struct fuse_init_out [64] {
        major: u32,
        minor: u32,
        max_readahead: u32,
        flags: u32,
        max_background: u16,
        congestion_threshold: u16,
        max_write: u32,
        time_gran: u32,
        max_pages: u16,
        map_alignment: u16,
        flags2: u32,
        max_stack_depth: u32,
        request_timeout: u16,
        unused: [u16; 11],
    }

    struct cuse_init_in [16] {
        major: u32,
        minor: u32,
        unused: u32,
        flags: u32,
    }

    struct cuse_init_out [72] {
        major: u32,
        minor: u32,
        unused: u32,
        flags: u32,
        max_read: u32,
        max_write: u32,
        dev_major: u32,
        dev_minor: u32,
        spare: [u32; 10],
    }
}

// Attributes: the three structs macFUSE has longer.
#[cfg(not(target_os = "macos"))]
wire! { ATTRIBUTES;
    struct fuse_attr [88] {
        ino: u64,
        size: u64,
        blocks: u64,
        atime: u64,
        mtime: u64,
        ctime: u64,
        atimensec: u32,
        mtimensec: u32,
        ctimensec: u32,
        mode: u32,
        nlink: u32,
        uid: u32,
        gid: u32,
        rdev: u32,
        blksize: u32,
        flags: u32,
    }

    struct fuse_setattr_in [88] {
        valid: u32,
        padding: u32,
        fh: u64,
        size: u64,
        lock_owner: u64,
        atime: u64,
        mtime: u64,
        ctime: u64,
        atimensec: u32,
        mtimensec: u32,
        ctimensec: u32,
        mode: u32,
        unused4: u32,
        uid: u32,
        gid: u32,
        unused5: u32,
    }

    /// Its first 8 bytes only, unless FUSE_SETXATTR_EXT was negotiated.
    struct fuse_setxattr_in [16] {
        size: u32,
        flags: u32,
        setxattr_flags: u32,
        padding: u32,
    }

    struct fuse_getxattr_in [8] {
        size: u32,
        padding: u32,
    }
}

#[cfg(target_os = "macos")]
wire! { ATTRIBUTES;
    struct fuse_attr [104] {
        ino: u64,
        size: u64,
        blocks: u64,
        atime: u64,
        mtime: u64,
        ctime: u64,
        crtime: u64,
        atimensec: u32,
        mtimensec: u32,
        ctimensec: u32,
        crtimensec: u32,
        mode: u32,
        nlink: u32,
        uid: u32,
        gid: u32,
        rdev: u32,
        flags: u32,
        blksize: u32,
        padding: u32,
    }

    struct fuse_setattr_in [128] {
        valid: u32,
        padding: u32,
        fh: u64,
        size: u64,
        lock_owner: u64,
        atime: u64,
        mtime: u64,
        ctime: u64,
        atimensec: u32,
        mtimensec: u32,
        ctimensec: u32,
        mode: u32,
        unused4: u32,
        uid: u32,
        gid: u32,
        unused5: u32,
        bkuptime: u64,
        chgtime: u64,
        crtime: u64,
        bkuptimensec: u32,
        chgtimensec: u32,
        crtimensec: u32,
        flags: u32,
    }

    struct fuse_setxattr_in [16] {
        size: u32,
        flags: u32,
        position: u32,
        padding: u32,
    }

    struct fuse_getxattr_in [16] {
        size: u32,
        padding: u32,
        position: u32,
        padding2: u32,
    }

    struct fuse_getxtimes_out [24] {
        bkuptime: u64,
        crtime: u64,
        bkuptimensec: u32,
        crtimensec: u32,
    }

    /// The two names follow.
    struct fuse_exchange_in [24] {
        olddir: u64,
        newdir: u64,
        options: u64,
    }
}

// They contain `fuse_attr`, so macFUSE's are 16 bytes longer.
#[cfg(not(target_os = "macos"))]
wire! { ATTRIBUTE_REPLIES;
    struct fuse_entry_out [128] {
        nodeid: u64,
        generation: u64,
        entry_valid: u64,
        attr_valid: u64,
        entry_valid_nsec: u32,
        attr_valid_nsec: u32,
        attr: fuse_attr,
    }

    struct fuse_attr_out [104] {
        attr_valid: u64,
        attr_valid_nsec: u32,
        dummy: u32,
        attr: fuse_attr,
    }

    struct fuse_direntplus [152] {
        entry_out: fuse_entry_out,
        dirent: fuse_dirent,
    }
}

#[cfg(target_os = "macos")]
wire! { ATTRIBUTE_REPLIES;
    struct fuse_entry_out [144] {
        nodeid: u64,
        generation: u64,
        entry_valid: u64,
        attr_valid: u64,
        entry_valid_nsec: u32,
        attr_valid_nsec: u32,
        attr: fuse_attr,
    }

    struct fuse_attr_out [120] {
        attr_valid: u64,
        attr_valid_nsec: u32,
        dummy: u32,
        attr: fuse_attr,
    }

    struct fuse_direntplus [168] {
        entry_out: fuse_entry_out,
        dirent: fuse_dirent,
    }
}

// Requests and their answers.
wire! { OPERATIONS;
    struct fuse_forget_in [8] {
        nlookup: u64,
    }

    struct fuse_forget_one [16] {
        nodeid: u64,
        nlookup: u64,
    }

    /// `count` times `fuse_forget_one` follows.
    struct fuse_batch_forget_in [8] {
        count: u32,
        dummy: u32,
    }

    struct fuse_getattr_in [16] {
        getattr_flags: u32,
        dummy: u32,
        fh: u64,
    }

    struct fuse_sx_time [16] {
        tv_sec: i64,
        tv_nsec: u32,
        __reserved: i32,
    }

    struct fuse_statx [256] {
        mask: u32,
        blksize: u32,
        attributes: u64,
        nlink: u32,
        uid: u32,
        gid: u32,
        mode: u16,
        __spare0: [u16; 1],
        ino: u64,
        size: u64,
        blocks: u64,
        attributes_mask: u64,
        atime: fuse_sx_time,
        btime: fuse_sx_time,
        ctime: fuse_sx_time,
        mtime: fuse_sx_time,
        rdev_major: u32,
        rdev_minor: u32,
        dev_major: u32,
        dev_minor: u32,
        __spare2: [u64; 14],
    }

    struct fuse_statx_in [24] {
        getattr_flags: u32,
        reserved: u32,
        fh: u64,
        sx_flags: u32,
        sx_mask: u32,
    }

    struct fuse_statx_out [288] {
        attr_valid: u64,
        attr_valid_nsec: u32,
        flags: u32,
        spare: [u64; 2],
        stat: fuse_statx,
    }

    /// The name follows.
    struct fuse_mknod_in [16] {
        mode: u32,
        rdev: u32,
        umask: u32,
        padding: u32,
    }

    /// The name follows.
    struct fuse_mkdir_in [8] {
        mode: u32,
        umask: u32,
    }

    /// The old and the new name follow.
    struct fuse_rename_in [8] {
        newdir: u64,
    }

    /// The old and the new name follow.
    struct fuse_rename2_in [16] {
        newdir: u64,
        flags: u32,
        padding: u32,
    }

    /// The new name follows.
    struct fuse_link_in [8] {
        oldnodeid: u64,
    }

    struct fuse_open_in [8] {
        flags: u32,
        open_flags: u32,
    }

    /// The name follows.
    struct fuse_create_in [16] {
        flags: u32,
        mode: u32,
        umask: u32,
        open_flags: u32,
    }

    struct fuse_open_out [16] {
        fh: u64,
        open_flags: u32,
        backing_id: i32,
    }

    struct fuse_release_in [24] {
        fh: u64,
        flags: u32,
        release_flags: u32,
        lock_owner: u64,
    }

    struct fuse_flush_in [24] {
        fh: u64,
        unused: u32,
        padding: u32,
        lock_owner: u64,
    }

    struct fuse_read_in [40] {
        fh: u64,
        offset: u64,
        size: u32,
        read_flags: u32,
        lock_owner: u64,
        flags: u32,
        padding: u32,
    }

    /// The data follows.
    struct fuse_write_in [40] {
        fh: u64,
        offset: u64,
        size: u32,
        write_flags: u32,
        lock_owner: u64,
        flags: u32,
        padding: u32,
    }

    struct fuse_write_out [8] {
        size: u32,
        padding: u32,
    }

    struct fuse_kstatfs [80] {
        blocks: u64,
        bfree: u64,
        bavail: u64,
        files: u64,
        ffree: u64,
        bsize: u32,
        namelen: u32,
        frsize: u32,
        padding: u32,
        spare: [u32; 6],
    }

    struct fuse_statfs_out [80] {
        st: fuse_kstatfs,
    }

    struct fuse_fsync_in [16] {
        fh: u64,
        fsync_flags: u32,
        padding: u32,
    }

    struct fuse_getxattr_out [8] {
        size: u32,
        padding: u32,
    }

    struct fuse_file_lock [24] {
        start: u64,
        end: u64,
        r#type: u32,
        pid: u32,
    }

    struct fuse_lk_in [48] {
        fh: u64,
        owner: u64,
        lk: fuse_file_lock,
        lk_flags: u32,
        padding: u32,
    }

    struct fuse_lk_out [24] {
        lk: fuse_file_lock,
    }

    struct fuse_access_in [8] {
        mask: u32,
        padding: u32,
    }

    struct fuse_interrupt_in [8] {
        unique: u64,
    }

    struct fuse_bmap_in [16] {
        block: u64,
        blocksize: u32,
        padding: u32,
    }

    struct fuse_bmap_out [8] {
        block: u64,
    }

    /// `in_size` bytes of data follow.
    struct fuse_ioctl_in [32] {
        fh: u64,
        flags: u32,
        cmd: u32,
        arg: u64,
        in_size: u32,
        out_size: u32,
    }

    struct fuse_ioctl_iovec [16] {
        base: u64,
        len: u64,
    }

    struct fuse_ioctl_out [16] {
        result: i32,
        flags: u32,
        in_iovs: u32,
        out_iovs: u32,
    }

    struct fuse_poll_in [24] {
        fh: u64,
        kh: u64,
        flags: u32,
        events: u32,
    }

    struct fuse_poll_out [8] {
        revents: u32,
        padding: u32,
    }

    struct fuse_fallocate_in [32] {
        fh: u64,
        offset: u64,
        length: u64,
        mode: u32,
        padding: u32,
    }

    struct fuse_lseek_in [24] {
        fh: u64,
        offset: u64,
        whence: u32,
        padding: u32,
    }

    struct fuse_lseek_out [8] {
        offset: u64,
    }

    struct fuse_copy_file_range_in [56] {
        fh_in: u64,
        off_in: u64,
        nodeid_out: u64,
        fh_out: u64,
        off_out: u64,
        len: u64,
        flags: u64,
    }

    struct fuse_copy_file_range_out [8] {
        bytes_copied: u64,
    }

    struct fuse_syncfs_in [8] {
        padding: u64,
    }

    struct fuse_setupmapping_in [40] {
        fh: u64,
        foffset: u64,
        len: u64,
        flags: u64,
        moffset: u64,
    }

    /// `count` times `fuse_removemapping_one` follows.
    struct fuse_removemapping_in [4] {
        count: u32,
    }

    struct fuse_removemapping_one [16] {
        moffset: u64,
        len: u64,
    }

    /// The name follows, padded with zeros to a multiple of 8 bytes.
    struct fuse_dirent [24] {
        ino: u64,
        off: u64,
        namelen: u32,
        r#type: u32,
    }
}

// What may stand behind a request's arguments; `total_extlen` of the header counts it in 8 bytes.
wire! { EXTENSIONS;
    struct fuse_ext_header [8] {
        size: u32,
        r#type: u32,
    }

    struct fuse_secctx_header [8] {
        size: u32,
        nr_secctx: u32,
    }

    /// The context's name and its value follow.
    struct fuse_secctx [8] {
        size: u32,
        padding: u32,
    }

    /// `nr_groups` group ids of 4 bytes follow.
    struct fuse_supp_groups [4] {
        nr_groups: u32,
    }
}

// Notifications, from the filesystem to the kernel.
wire! { NOTIFICATIONS;
    struct fuse_notify_poll_wakeup_out [8] {
        kh: u64,
    }

    struct fuse_notify_inval_inode_out [24] {
        ino: u64,
        off: i64,
        len: i64,
    }

    /// The name and a NUL follow.
    struct fuse_notify_inval_entry_out [16] {
        parent: u64,
        namelen: u32,
        flags: u32,
    }

    /// The name and a NUL follow.
    struct fuse_notify_delete_out [24] {
        parent: u64,
        child: u64,
        namelen: u32,
        padding: u32,
    }

    /// The data follows.
    struct fuse_notify_store_out [24] {
        nodeid: u64,
        offset: u64,
        size: u32,
        padding: u32,
    }

    struct fuse_notify_retrieve_out [32] {
        notify_unique: u64,
        nodeid: u64,
        offset: u64,
        size: u32,
        padding: u32,
    }

    /// What NOTIFY_REPLY begins with; the data follows.
    struct fuse_notify_retrieve_in [40] {
        dummy1: u64,
        offset: u64,
        size: u32,
        dummy2: u32,
        dummy3: u64,
        dummy4: u64,
    }

    /// `count` node ids of 8 bytes follow.
    struct fuse_notify_prune_out [16] {
        count: u32,
        padding: u32,
        spare: u64,
    }
}

// The device's ioctls and io_uring commands.
wire! { DEVICE;
    struct fuse_backing_map [16] {
        fd: i32,
        flags: u32,
        padding: u64,
    }

    struct fuse_uring_ent_in_out [32] {
        flags: u64,
        commit_id: u64,
        payload_sz: u32,
        padding: u32,
        reserved: u64,
    }

    struct fuse_uring_req_header [288] {
        in_out: [u8; FUSE_URING_IN_OUT_HEADER_SZ],
        op_in: [u8; FUSE_URING_OP_IN_OUT_SZ],
        ring_ent_in_out: fuse_uring_ent_in_out,
    }

    struct fuse_uring_cmd_req [24] {
        flags: u64,
        commit_id: u64,
        qid: u16,
        padding: [u8; 6],
    }
}

constants! { SIZES;
    usize {
        FUSE_MIN_READ_BUFFER = 8192,
        FUSE_COMPAT_ENTRY_OUT_SIZE = 120,
        FUSE_COMPAT_ATTR_OUT_SIZE = 96,
        FUSE_COMPAT_MKNOD_IN_SIZE = 8,
        FUSE_COMPAT_WRITE_IN_SIZE = 24,
        FUSE_COMPAT_STATFS_SIZE = 48,
        FUSE_COMPAT_SETXATTR_IN_SIZE = 8,
        FUSE_COMPAT_INIT_OUT_SIZE = 8,
        FUSE_COMPAT_22_INIT_OUT_SIZE = 24,
        FUSE_IOCTL_MAX_IOV = 256,
        CUSE_INIT_INFO_MAX = 4096,
        FUSE_URING_IN_OUT_HEADER_SZ = 128,
        FUSE_URING_OP_IN_OUT_SZ = 128,
    }
}

constants! { NUMBERS;
    u32 {
        FUSE_KERNEL_VERSION = 7,
        /// The newest minor version that is spoken. macFUSE's kernel side stopped at 7.19.
        FUSE_KERNEL_MINOR_VERSION = if cfg!(target_os = "macos") { 19 } else { 45 },
        /// The uid and gid of requests whose caller's ids the kernel withholds (FUSE_ALLOW_IDMAP).
        FUSE_INVALID_UIDGID = u32::MAX,
    }
    u64 {
        FUSE_ROOT_ID = 1,
        /// Set in the `unique` of a request that the kernel sends again after FUSE_NOTIFY_RESEND.
        FUSE_UNIQUE_RESEND = 1 << 63,
    }
}

constants! { OPCODES;
    u32 {
        FUSE_LOOKUP = 1,
        FUSE_FORGET = 2,
        FUSE_GETATTR = 3,
        FUSE_SETATTR = 4,
        FUSE_READLINK = 5,
        FUSE_SYMLINK = 6,
        FUSE_MKNOD = 8,
        FUSE_MKDIR = 9,
        FUSE_UNLINK = 10,
        FUSE_RMDIR = 11,
        FUSE_RENAME = 12,
        FUSE_LINK = 13,
        FUSE_OPEN = 14,
        FUSE_READ = 15,
        FUSE_WRITE = 16,
        FUSE_STATFS = 17,
        FUSE_RELEASE = 18,
        FUSE_FSYNC = 20,
        FUSE_SETXATTR = 21,
        FUSE_GETXATTR = 22,
        FUSE_LISTXATTR = 23,
        FUSE_REMOVEXATTR = 24,
        FUSE_FLUSH = 25,
        FUSE_INIT = 26,
        FUSE_OPENDIR = 27,
        FUSE_READDIR = 28,
        FUSE_RELEASEDIR = 29,
        FUSE_FSYNCDIR = 30,
        FUSE_GETLK = 31,
        FUSE_SETLK = 32,
        FUSE_SETLKW = 33,
        FUSE_ACCESS = 34,
        FUSE_CREATE = 35,
        FUSE_INTERRUPT = 36,
        FUSE_BMAP = 37,
        FUSE_DESTROY = 38,
        FUSE_IOCTL = 39,
        FUSE_POLL = 40,
        FUSE_NOTIFY_REPLY = 41,
        FUSE_BATCH_FORGET = 42,
        FUSE_FALLOCATE = 43,
        FUSE_READDIRPLUS = 44,
        FUSE_RENAME2 = 45,
        FUSE_LSEEK = 46,
        FUSE_COPY_FILE_RANGE = 47,
        FUSE_SETUPMAPPING = 48,
        FUSE_REMOVEMAPPING = 49,
        FUSE_SYNCFS = 50,
        FUSE_TMPFILE = 51,
        FUSE_STATX = 52,
        FUSE_COPY_FILE_RANGE_64 = 53,
        CUSE_INIT = 4096,
        CUSE_INIT_BSWAP_RESERVED = CUSE_INIT << 8,
        FUSE_INIT_BSWAP_RESERVED = FUSE_INIT << 24,
    }
}

#[cfg(target_os = "macos")]
constants! { MACOS_OPCODES;
    u32 {
        FUSE_SETVOLNAME = 61,
        FUSE_GETXTIMES = 62,
        FUSE_EXCHANGE = 63,
    }
}

constants! { NOTIFY_CODES;
    i32 {
        FUSE_NOTIFY_POLL = 1,
        FUSE_NOTIFY_INVAL_INODE = 2,
        FUSE_NOTIFY_INVAL_ENTRY = 3,
        FUSE_NOTIFY_STORE = 4,
        FUSE_NOTIFY_RETRIEVE = 5,
        FUSE_NOTIFY_DELETE = 6,
        FUSE_NOTIFY_RESEND = 7,
        FUSE_NOTIFY_INC_EPOCH = 8,
        FUSE_NOTIFY_PRUNE = 9,
    }
}

constants! { INIT_FLAGS;
    u64 {
        FUSE_ASYNC_READ = 1 << 0,
        FUSE_POSIX_LOCKS = 1 << 1,
        FUSE_FILE_OPS = 1 << 2,
        FUSE_ATOMIC_O_TRUNC = 1 << 3,
        FUSE_EXPORT_SUPPORT = 1 << 4,
        FUSE_BIG_WRITES = 1 << 5,
        FUSE_DONT_MASK = 1 << 6,
        FUSE_SPLICE_WRITE = 1 << 7,
        FUSE_SPLICE_MOVE = 1 << 8,
        FUSE_SPLICE_READ = 1 << 9,
        FUSE_FLOCK_LOCKS = 1 << 10,
        FUSE_HAS_IOCTL_DIR = 1 << 11,
        FUSE_AUTO_INVAL_DATA = 1 << 12,
        FUSE_DO_READDIRPLUS = 1 << 13,
        FUSE_READDIRPLUS_AUTO = 1 << 14,
        FUSE_ASYNC_DIO = 1 << 15,
        FUSE_WRITEBACK_CACHE = 1 << 16,
        FUSE_NO_OPEN_SUPPORT = 1 << 17,
        FUSE_PARALLEL_DIROPS = 1 << 18,
        FUSE_HANDLE_KILLPRIV = 1 << 19,
        FUSE_POSIX_ACL = 1 << 20,
        FUSE_ABORT_ERROR = 1 << 21,
        FUSE_MAX_PAGES = 1 << 22,
        FUSE_CACHE_SYMLINKS = 1 << 23,
        FUSE_NO_OPENDIR_SUPPORT = 1 << 24,
        FUSE_EXPLICIT_INVAL_DATA = 1 << 25,
        FUSE_MAP_ALIGNMENT = 1 << 26,
        FUSE_SUBMOUNTS = 1 << 27,
        FUSE_HANDLE_KILLPRIV_V2 = 1 << 28,
        FUSE_SETXATTR_EXT = 1 << 29,
        FUSE_INIT_EXT = 1 << 30,
        FUSE_INIT_RESERVED = 1 << 31,
        FUSE_SECURITY_CTX = 1 << 32,
        FUSE_HAS_INODE_DAX = 1 << 33,
        FUSE_CREATE_SUPP_GROUP = 1 << 34,
        FUSE_HAS_EXPIRE_ONLY = 1 << 35,
        FUSE_DIRECT_IO_ALLOW_MMAP = 1 << 36,
        FUSE_PASSTHROUGH = 1 << 37,
        FUSE_NO_EXPORT_SUPPORT = 1 << 38,
        FUSE_HAS_RESEND = 1 << 39,
        FUSE_ALLOW_IDMAP = 1 << 40,
        FUSE_OVER_IO_URING = 1 << 41,
        FUSE_REQUEST_TIMEOUT = 1 << 42,
        FUSE_DIRECT_IO_RELAX = FUSE_DIRECT_IO_ALLOW_MMAP,
    }
}

// macFUSE gives five of the bits another meaning.
#[cfg(target_os = "macos")]
constants! { MACOS_INIT_FLAGS;
    u64 {
        FUSE_ALLOCATE = 1 << 27,
        FUSE_EXCHANGE_DATA = 1 << 28,
        FUSE_CASE_INSENSITIVE = 1 << 29,
        FUSE_VOL_RENAME = 1 << 30,
        FUSE_XTIMES = 1 << 31,
    }
}

constants! { FLAGS;
    u32 {
        FATTR_MODE = 1 << 0,
        FATTR_UID = 1 << 1,
        FATTR_GID = 1 << 2,
        FATTR_SIZE = 1 << 3,
        FATTR_ATIME = 1 << 4,
        FATTR_MTIME = 1 << 5,
        FATTR_FH = 1 << 6,
        FATTR_ATIME_NOW = 1 << 7,
        FATTR_MTIME_NOW = 1 << 8,
        FATTR_LOCKOWNER = 1 << 9,
        FATTR_CTIME = 1 << 10,
        FATTR_KILL_SUIDGID = 1 << 11,

        FOPEN_DIRECT_IO = 1 << 0,
        FOPEN_KEEP_CACHE = 1 << 1,
        FOPEN_NONSEEKABLE = 1 << 2,
        FOPEN_CACHE_DIR = 1 << 3,
        FOPEN_STREAM = 1 << 4,
        FOPEN_NOFLUSH = 1 << 5,
        FOPEN_PARALLEL_DIRECT_WRITES = 1 << 6,
        FOPEN_PASSTHROUGH = 1 << 7,

        CUSE_UNRESTRICTED_IOCTL = 1 << 0,

        FUSE_RELEASE_FLUSH = 1 << 0,
        FUSE_RELEASE_FLOCK_UNLOCK = 1 << 1,

        FUSE_GETATTR_FH = 1 << 0,

        FUSE_LK_FLOCK = 1 << 0,

        FUSE_WRITE_CACHE = 1 << 0,
        FUSE_WRITE_LOCKOWNER = 1 << 1,
        FUSE_WRITE_KILL_SUIDGID = 1 << 2,
        FUSE_WRITE_KILL_PRIV = FUSE_WRITE_KILL_SUIDGID,

        FUSE_READ_LOCKOWNER = 1 << 1,

        FUSE_IOCTL_COMPAT = 1 << 0,
        FUSE_IOCTL_UNRESTRICTED = 1 << 1,
        FUSE_IOCTL_RETRY = 1 << 2,
        FUSE_IOCTL_32BIT = 1 << 3,
        FUSE_IOCTL_DIR = 1 << 4,
        FUSE_IOCTL_COMPAT_X32 = 1 << 5,

        FUSE_POLL_SCHEDULE_NOTIFY = 1 << 0,

        FUSE_FSYNC_FDATASYNC = 1 << 0,

        FUSE_ATTR_SUBMOUNT = 1 << 0,
        FUSE_ATTR_DAX = 1 << 1,

        FUSE_OPEN_KILL_SUIDGID = 1 << 0,

        FUSE_SETXATTR_ACL_KILL_SGID = 1 << 0,

        FUSE_EXPIRE_ONLY = 1 << 0,

        FUSE_MAX_NR_SECCTX = 31,
        FUSE_EXT_GROUPS = 32,

        FUSE_IO_URING_CMD_INVALID = 0,
        FUSE_IO_URING_CMD_REGISTER = 1,
        FUSE_IO_URING_CMD_COMMIT_AND_FETCH = 2,
    }
    u64 {
        FUSE_SETUPMAPPING_FLAG_WRITE = 1 << 0,
        FUSE_SETUPMAPPING_FLAG_READ = 1 << 1,
    }
}

constants! { IOCTLS;
    u32 {
        FUSE_DEV_IOC_MAGIC = 229,
        FUSE_DEV_IOC_CLONE = ioctl(IOC_READ, 0, size_of::<u32>()),
        FUSE_DEV_IOC_BACKING_OPEN = ioctl(IOC_WRITE, 1, size_of::<fuse_backing_map>()),
        FUSE_DEV_IOC_BACKING_CLOSE = ioctl(IOC_WRITE, 2, size_of::<u32>()),
        FUSE_DEV_IOC_SYNC_INIT = ioctl(IOC_NONE, 3, 0),
    }
}

/// The number of the device's ioctl `nr`: direction, argument size, magic and number in one.
const fn ioctl(direction: u32, nr: u32, size: usize) -> u32 {
    direction | (size as u32) << 16 | FUSE_DEV_IOC_MAGIC << 8 | nr
}

// The direction's bits, where they stand. A few architectures have three instead of two.
const OLD_IOC: bool = cfg!(any(
    target_arch = "mips",
    target_arch = "mips32r6",
    target_arch = "mips64",
    target_arch = "mips64r6",
    target_arch = "powerpc",
    target_arch = "powerpc64",
    target_arch = "sparc",
    target_arch = "sparc64",
));
const IOC_NONE: u32 = if OLD_IOC { 1 << 29 } else { 0 };
const IOC_READ: u32 = if OLD_IOC { 2 << 29 } else { 2 << 30 };
const IOC_WRITE: u32 = if OLD_IOC { 4 << 29 } else { 1 << 30 };

// How long a name may be. Neither number is in the header.

/// The longest name every kernel takes. In a listing a longer one fails the whole listing with EIO,
/// in a notification it is answered with ENAMETOOLONG.
pub(crate) const FUSE_NAME_LOW_MAX: usize = 1024;
/// The longest name newer kernels take, where FUSE_MAX_PAGES was negotiated.
pub(crate) const FUSE_NAME_MAX: usize = 4095;

/// Every struct of this file.
#[cfg(test)]
pub(crate) fn layouts() -> impl Iterator<Item = &'static Layout> {
    [HEADERS, INIT, ATTRIBUTES, ATTRIBUTE_REPLIES, OPERATIONS, EXTENSIONS, NOTIFICATIONS, DEVICE]
        .into_iter()
        .flatten()
}

/// Every constant of this file that the header has too.
#[cfg(test)]
pub(crate) fn constants() -> impl Iterator<Item = &'static (&'static str, u64)> {
    [SIZES, NUMBERS, OPCODES, NOTIFY_CODES, INIT_FLAGS, FLAGS, IOCTLS].into_iter().flatten()
}

#[cfg(all(test, not(target_os = "macos")))]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn fields_behind_padding_stand_where_the_kernel_has_them() {
        assert_eq!(offset_of!(fuse_in_header, total_extlen), 36);
        assert_eq!(offset_of!(fuse_attr, atimensec), 48);
        assert_eq!(offset_of!(fuse_attr, rdev), 76);
        assert_eq!(offset_of!(fuse_attr, flags), 84);
        assert_eq!(offset_of!(fuse_entry_out, attr), 40);
        assert_eq!(offset_of!(fuse_attr_out, attr), 16);
        assert_eq!(offset_of!(fuse_setattr_in, ctime), 48);
        assert_eq!(offset_of!(fuse_setattr_in, mode), 68);
        assert_eq!(offset_of!(fuse_setattr_in, uid), 76);
        assert_eq!(offset_of!(fuse_release_in, lock_owner), 16);
        assert_eq!(offset_of!(fuse_flush_in, lock_owner), 16);
        assert_eq!(offset_of!(fuse_write_in, lock_owner), 24);
        assert_eq!(offset_of!(fuse_lk_in, lk_flags), 40);
        assert_eq!(offset_of!(fuse_ioctl_in, in_size), 24);
        assert_eq!(offset_of!(fuse_poll_in, events), 20);
        assert_eq!(offset_of!(fuse_direntplus, dirent), 128);
        assert_eq!(offset_of!(fuse_notify_delete_out, namelen), 16);
    }

    #[test]
    fn fields_newer_than_most_headers_stand_where_the_kernel_has_them() {
        assert_eq!(offset_of!(fuse_init_in, flags2), 16);
        assert_eq!(offset_of!(fuse_init_out, max_pages), 28);
        assert_eq!(offset_of!(fuse_init_out, map_alignment), 30);
        assert_eq!(offset_of!(fuse_init_out, flags2), 32);
        assert_eq!(offset_of!(fuse_init_out, max_stack_depth), 36);
        assert_eq!(offset_of!(fuse_init_out, request_timeout), 40);
        assert_eq!(offset_of!(fuse_open_out, backing_id), 12);
        assert_eq!(offset_of!(fuse_statx_in, fh), 8);
        assert_eq!(offset_of!(fuse_statx_in, sx_mask), 20);
        assert_eq!(offset_of!(fuse_statx_out, stat), 32);
        assert_eq!(offset_of!(fuse_statx, mode), 28);
        assert_eq!(offset_of!(fuse_statx, ino), 32);
        assert_eq!(offset_of!(fuse_statx, attributes_mask), 56);
        assert_eq!(offset_of!(fuse_statx, btime), 80);
        assert_eq!(offset_of!(fuse_statx, rdev_major), 128);
        assert_eq!(offset_of!(fuse_statx, dev_minor), 140);
        assert_eq!(offset_of!(fuse_sx_time, tv_nsec), 8);
        assert_eq!(offset_of!(fuse_notify_prune_out, spare), 8);
        assert_eq!(offset_of!(fuse_backing_map, flags), 4);
        assert_eq!(offset_of!(fuse_uring_req_header, op_in), 128);
        assert_eq!(offset_of!(fuse_uring_req_header, ring_ent_in_out), 256);
        assert_eq!(offset_of!(fuse_uring_ent_in_out, payload_sz), 16);
        assert_eq!(offset_of!(fuse_uring_cmd_req, qid), 16);
    }

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64"))]
    fn ioctls_have_the_kernels_numbers() {
        assert_eq!(FUSE_DEV_IOC_CLONE, 0x8004_e500);
        assert_eq!(FUSE_DEV_IOC_BACKING_OPEN, 0x4010_e501);
        assert_eq!(FUSE_DEV_IOC_BACKING_CLOSE, 0x4004_e502);
        assert_eq!(FUSE_DEV_IOC_SYNC_INIT, 0x0000_e503);
    }

    #[test]
    fn no_struct_has_hidden_padding_and_no_name_appears_twice() {
        let mut names = std::collections::HashSet::new();
        for layout in layouts() {
            assert!(names.insert(layout.name), "{} appears twice", layout.name);
            let mut end = 0;
            for field in layout.fields {
                assert_eq!(field.offset, end, "{}.{}", layout.name, field.name);
                end += field.size;
            }
            assert_eq!(end, layout.size, "{}", layout.name);
        }
        for (name, _) in constants() {
            assert!(names.insert(name), "{name} appears twice");
        }
    }
}
