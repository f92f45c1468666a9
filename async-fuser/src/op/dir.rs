use super::operations;
use crate::abi::*;
use crate::types::{FileHandle, INodeNo, OpenFlags};

operations! {
    /// Open a directory.
    struct Opendir {
        /// The directory.
        ino: INodeNo,
        /// The caller's flags.
        flags: OpenFlags,
    }
    decode(req, args) {
        let fixed: fuse_open_in = args.fixed()?;
        Self { req, ino: req.node(), flags: OpenFlags(fixed.flags as i32) }
    }

    /// List a directory.
    struct Readdir {
        /// The directory.
        ino: INodeNo,
        /// The open directory.
        fh: FileHandle,
        /// The offset that came with the last entry the caller has; 0 to begin.
        offset: u64,
        /// How many bytes of packed entries fit.
        size: u32,
    }
    room size
    decode(req, args) {
        let fixed: fuse_read_in = args.fixed()?;
        let fh = FileHandle(fixed.fh);
        Self { req, ino: req.node(), fh, offset: fixed.offset, size: fixed.size }
    }

    /// List a directory, with each entry's attributes. Every entry listed but `.` and `..` counts
    /// as one lookup.
    struct Readdirplus {
        /// The directory.
        ino: INodeNo,
        /// The open directory.
        fh: FileHandle,
        /// The offset that came with the last entry the caller has; 0 to begin.
        offset: u64,
        /// How many bytes of packed entries fit.
        size: u32,
    }
    room size
    decode(req, args) {
        let fixed: fuse_read_in = args.fixed()?;
        let fh = FileHandle(fixed.fh);
        Self { req, ino: req.node(), fh, offset: fixed.offset, size: fixed.size }
    }

    /// An open directory is closed; nobody waits.
    struct Releasedir {
        /// The directory.
        ino: INodeNo,
        /// The open directory, which ends.
        fh: FileHandle,
        /// The flags it was opened with.
        flags: OpenFlags,
    }
    decode(req, args) {
        let fixed: fuse_release_in = args.fixed()?;
        let (fh, flags) = (FileHandle(fixed.fh), OpenFlags(fixed.flags as i32));
        Self { req, ino: req.node(), fh, flags }
    }

    /// Make a directory's entries durable.
    struct Fsyncdir {
        /// The directory.
        ino: INodeNo,
        /// The open directory.
        fh: FileHandle,
        /// The data is enough: `fdatasync(2)`.
        datasync: bool,
    }
    decode(req, args) {
        let fixed: fuse_fsync_in = args.fixed()?;
        let datasync = fixed.fsync_flags & FUSE_FSYNC_FDATASYNC != 0;
        Self { req, ino: req.node(), fh: FileHandle(fixed.fh), datasync }
    }
}
