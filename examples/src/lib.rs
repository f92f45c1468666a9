//! What the example programs share: [`cli`] runs them, [`attr`] fills in the attributes that the
//! small ones have no opinion on.
//!
//! Each program is one file beside this package's `Cargo.toml`; `hello.rs` is the one to start with,
//! `async_hello.rs` for an asynchronous filesystem.

use std::time::UNIX_EPOCH;

use async_fuser::{FileAttr, FileType, INodeNo};
use nix::unistd::{getgid, getuid};

pub mod cli;
pub mod greetings;
pub mod memfs;

/// Attributes of a file or directory that belongs to whoever runs the example, with all times at the epoch.
///
/// `perm` are the permission bits (`0o644`). A directory counts two links, anything else one.
pub fn attr(ino: INodeNo, kind: FileType, perm: u16, size: u64) -> FileAttr {
    FileAttr {
        ino,
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: if kind == FileType::Directory { 2 } else { 1 },
        uid: getuid().as_raw(),
        gid: getgid().as_raw(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

/// The part of `data` that a read of `size` bytes at `offset` is to answer: empty at and beyond the end.
pub fn part(data: &[u8], offset: u64, size: u32) -> &[u8] {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
    let end = start.saturating_add(size as usize).min(data.len());
    &data[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_stops_at_the_end_of_the_data() {
        assert_eq!(part(b"seven b", 0, 100), b"seven b");
        assert_eq!(part(b"seven b", 5, 1), b" ");
        assert_eq!(part(b"seven b", 5, 100), b" b");
    }

    #[test]
    fn a_read_beyond_the_end_is_empty() {
        assert_eq!(part(b"seven b", 7, 1), b"");
        assert_eq!(part(b"seven b", u64::MAX, u32::MAX), b"");
    }
}
