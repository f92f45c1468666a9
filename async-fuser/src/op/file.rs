use std::ffi::OsStr;

use super::operations;
use crate::abi::*;
use crate::types::{
    CopyFileRangeFlags, FileHandle, INodeNo, IoctlFlags, LockOwner, OpenFlags, PollEvents,
    PollFlags, PollHandle, WriteFlags,
};
use crate::wire::args::offset;

operations! {
    /// Open a file.
    struct Open {
        /// The inode.
        ino: INodeNo,
        /// The caller's flags, without `O_CREAT`, `O_EXCL` and `O_NOCTTY`, and without `O_TRUNC`
        /// unless `FUSE_ATOMIC_O_TRUNC` was negotiated.
        flags: OpenFlags,
        /// Drop the set-uid bit, and the set-gid bit of a group-executable file, because of
        /// `O_TRUNC`. Told only after `FUSE_HANDLE_KILLPRIV_V2`.
        kill_suid_gid: bool,
    }
    decode(req, args) {
        let fixed: fuse_open_in = args.fixed()?;
        Self {
            req,
            ino: req.node(),
            flags: OpenFlags(fixed.flags as i32),
            kill_suid_gid: fixed.open_flags & FUSE_OPEN_KILL_SUIDGID != 0,
        }
    }

    /// Create a file and open it.
    struct Create {
        /// The directory.
        parent: INodeNo,
        /// The entry's name.
        name: &'a OsStr,
        /// Kind and permissions, the umask already applied unless `FUSE_DONT_MASK` was negotiated.
        mode: u32,
        /// The caller's umask.
        umask: u32,
        /// The caller's `O_*` flags.
        flags: i32,
        /// As in [`Open`].
        kill_suid_gid: bool,
    }
    decode(req, args) {
        let fixed: fuse_create_in = args.fixed()?;
        Self {
            req,
            parent: req.node(),
            name: args.name()?,
            mode: fixed.mode,
            umask: fixed.umask,
            flags: fixed.flags as i32,
            kill_suid_gid: fixed.open_flags & FUSE_OPEN_KILL_SUIDGID != 0,
        }
    }

    /// Create a file without a name and open it: `O_TMPFILE`.
    struct Tmpfile {
        /// The directory whose filesystem, owner and permissions it takes.
        parent: INodeNo,
        /// Kind and permissions, the umask already applied unless `FUSE_DONT_MASK` was negotiated.
        mode: u32,
        /// The caller's umask.
        umask: u32,
        /// The caller's `O_*` flags.
        flags: i32,
    }
    decode(req, args) {
        let fixed: fuse_create_in = args.fixed()?;
        Self {
            req,
            parent: req.node(),
            mode: fixed.mode,
            umask: fixed.umask,
            flags: fixed.flags as i32,
        }
    }

    /// Read from an open file.
    struct Read {
        /// The inode.
        ino: INodeNo,
        /// The open file.
        fh: FileHandle,
        /// Where to begin, in bytes.
        offset: u64,
        /// How many bytes the kernel wants; fewer mean the end of the file.
        size: u32,
        /// The flags the file was opened with.
        flags: OpenFlags,
        /// Who holds the file, where mandatory locking would need it.
        lock_owner: Option<LockOwner>,
    }
    room size
    decode(req, args) {
        let fixed: fuse_read_in = args.fixed()?;
        Self {
            req,
            ino: req.node(),
            fh: FileHandle(fixed.fh),
            offset: offset(fixed.offset)?,
            size: fixed.size,
            flags: OpenFlags(fixed.flags as i32),
            lock_owner: (fixed.read_flags & FUSE_READ_LOCKOWNER != 0)
                .then_some(LockOwner(fixed.lock_owner)),
        }
    }

    /// Write to an open file.
    struct Write {
        /// The inode.
        ino: INodeNo,
        /// The open file; a guess where `write_flags` says that the page cache writes.
        fh: FileHandle,
        /// Where to begin, in bytes.
        offset: u64,
        /// What to write: the request's own bytes.
        data: &'a [u8],
        /// Who writes, and what must happen besides.
        write_flags: WriteFlags,
        /// The flags the file was opened with.
        flags: OpenFlags,
        /// Who holds the file, where mandatory locking would need it.
        lock_owner: Option<LockOwner>,
    }
    decode(req, args) {
        let fixed: fuse_write_in = args.fixed()?;
        Self {
            req,
            ino: req.node(),
            fh: FileHandle(fixed.fh),
            offset: offset(fixed.offset)?,
            data: args.data(fixed.size)?,
            write_flags: WriteFlags::from_bits_retain(fixed.write_flags),
            flags: OpenFlags(fixed.flags as i32),
            lock_owner: (fixed.write_flags & FUSE_WRITE_LOCKOWNER != 0)
                .then_some(LockOwner(fixed.lock_owner)),
        }
    }

    /// One descriptor of an open file is closed: `close(2)` waits for the answer and returns it.
    struct Flush {
        /// The inode.
        ino: INodeNo,
        /// The open file.
        fh: FileHandle,
        /// Whose POSIX locks on the file end.
        lock_owner: LockOwner,
    }
    decode(req, args) {
        let fixed: fuse_flush_in = args.fixed()?;
        let (fh, lock_owner) = (FileHandle(fixed.fh), LockOwner(fixed.lock_owner));
        Self { req, ino: req.node(), fh, lock_owner }
    }

    /// The last descriptor of an open file is closed; nobody waits.
    struct Release {
        /// The inode.
        ino: INodeNo,
        /// The open file, which ends.
        fh: FileHandle,
        /// The flags the file was opened with.
        flags: OpenFlags,
        /// Whose `flock(2)` on the file ends, if it held one.
        lock_owner: Option<LockOwner>,
        /// Flush as well.
        flush: bool,
    }
    decode(req, args) {
        let fixed: fuse_release_in = args.fixed()?;
        Self {
            req,
            ino: req.node(),
            fh: FileHandle(fixed.fh),
            flags: OpenFlags(fixed.flags as i32),
            lock_owner: (fixed.release_flags & FUSE_RELEASE_FLOCK_UNLOCK != 0)
                .then_some(LockOwner(fixed.lock_owner)),
            flush: fixed.release_flags & FUSE_RELEASE_FLUSH != 0,
        }
    }

    /// Make an open file's contents durable.
    struct Fsync {
        /// The inode.
        ino: INodeNo,
        /// The open file.
        fh: FileHandle,
        /// The data is enough: `fdatasync(2)`.
        datasync: bool,
    }
    decode(req, args) {
        let fixed: fuse_fsync_in = args.fixed()?;
        let datasync = fixed.fsync_flags & FUSE_FSYNC_FDATASYNC != 0;
        Self { req, ino: req.node(), fh: FileHandle(fixed.fh), datasync }
    }

    /// Make the whole filesystem durable: `syncfs(2)`.
    struct Syncfs {
        /// The root.
        ino: INodeNo,
    }
    decode(req, args) {
        let fuse_syncfs_in { .. } = args.fixed()?;
        Self { req, ino: req.node() }
    }

    /// Reserve, free or zero a range of an open file.
    struct Fallocate {
        /// The inode.
        ino: INodeNo,
        /// The open file.
        fh: FileHandle,
        /// Where the range begins, in bytes.
        offset: u64,
        /// How long it is.
        length: u64,
        /// `FALLOC_FL_*`.
        mode: i32,
    }
    decode(req, args) {
        let fixed: fuse_fallocate_in = args.fixed()?;
        Self {
            req,
            ino: req.node(),
            fh: FileHandle(fixed.fh),
            offset: offset(fixed.offset)?,
            length: offset(fixed.length)?,
            mode: fixed.mode as i32,
        }
    }

    /// Find data or a hole in an open file.
    struct Lseek {
        /// The inode.
        ino: INodeNo,
        /// The open file.
        fh: FileHandle,
        /// Where to begin, in bytes.
        offset: i64,
        /// `SEEK_DATA` or `SEEK_HOLE`; the kernel does the others itself.
        whence: i32,
    }
    decode(req, args) {
        let fixed: fuse_lseek_in = args.fixed()?;
        Self {
            req,
            ino: req.node(),
            fh: FileHandle(fixed.fh),
            offset: fixed.offset as i64,
            whence: fixed.whence as i32,
        }
    }

    /// Copy a range from one open file to another, without the data passing through the kernel.
    struct CopyFileRange {
        /// The inode to copy from.
        ino_in: INodeNo,
        /// The open file to copy from.
        fh_in: FileHandle,
        /// Where to begin reading.
        offset_in: u64,
        /// The inode to copy to.
        ino_out: INodeNo,
        /// The open file to copy to.
        fh_out: FileHandle,
        /// Where to begin writing.
        offset_out: u64,
        /// How many bytes at most.
        len: u64,
        /// None are defined yet.
        flags: CopyFileRangeFlags,
    }
    decode(req, args) {
        let fixed: fuse_copy_file_range_in = args.fixed()?;
        Self {
            req,
            ino_in: req.node(),
            fh_in: FileHandle(fixed.fh_in),
            offset_in: offset(fixed.off_in)?,
            ino_out: INodeNo(fixed.nodeid_out),
            fh_out: FileHandle(fixed.fh_out),
            offset_out: offset(fixed.off_out)?,
            len: fixed.len,
            flags: CopyFileRangeFlags::from_bits_retain(fixed.flags),
        }
    }

    /// Map a block of a file to a block of its device; only for mounts on a block device.
    struct Bmap {
        /// The inode.
        ino: INodeNo,
        /// The size of a block.
        blocksize: u32,
        /// The block's number within the file.
        idx: u64,
    }
    decode(req, args) {
        let fixed: fuse_bmap_in = args.fixed()?;
        Self { req, ino: req.node(), blocksize: fixed.blocksize, idx: fixed.block }
    }

    /// Control an open file: `ioctl(2)`.
    struct Ioctl {
        /// The inode.
        ino: INodeNo,
        /// The open file.
        fh: FileHandle,
        /// How the call was made.
        flags: IoctlFlags,
        /// The command.
        cmd: u32,
        /// What the caller passes in.
        in_data: &'a [u8],
        /// How many bytes the caller has room for.
        out_size: u32,
    }
    room out_size
    decode(req, args) {
        let fixed: fuse_ioctl_in = args.fixed()?;
        Self {
            req,
            ino: req.node(),
            fh: FileHandle(fixed.fh),
            flags: IoctlFlags::from_bits_retain(fixed.flags),
            cmd: fixed.cmd,
            in_data: args.data(fixed.in_size)?,
            out_size: fixed.out_size,
        }
    }

    /// Ask what an open file is ready for: `poll(2)`.
    struct Poll {
        /// The inode.
        ino: INodeNo,
        /// The open file.
        fh: FileHandle,
        /// The name under which to tell the kernel of a change.
        kh: PollHandle,
        /// What the caller waits for.
        events: PollEvents,
        /// Whether somebody waits.
        flags: PollFlags,
    }
    decode(req, args) {
        let fixed: fuse_poll_in = args.fixed()?;
        Self {
            req,
            ino: req.node(),
            fh: FileHandle(fixed.fh),
            kh: PollHandle(fixed.kh),
            events: PollEvents::from_bits_retain(fixed.events),
            flags: PollFlags::from_bits_retain(fixed.flags),
        }
    }
}
