//! What both faces have to say on the way: requests in the storage's words, what the kernel is
//! allowed, and for how long it may keep an answer.

use std::io;
use std::time::Duration;

use async_fuser::{
    Errno, FileAttr, FileHandle, FileType, FopenFlags, INodeNo, InitFlags, KernelConfig, LockOwner,
    StatxAttr, WriteFlags,
};

use super::MemFs;
use super::file::WriteMode;
use super::locks::{Family, Lock};

impl MemFs {
    /// Agree with the kernel on what it may do, as far as it can.
    ///
    /// Without `FUSE_ATOMIC_O_TRUNC`: an `open` that truncates would come before the kernel has looked
    /// whether the file is a program that runs, and the program would lose its pages.
    pub(crate) fn negotiate(&mut self, config: &mut KernelConfig) -> io::Result<()> {
        let locks = InitFlags::FUSE_POSIX_LOCKS | InitFlags::FUSE_FLOCK_LOCKS;
        let mut wanted = InitFlags::FUSE_ASYNC_READ
            | InitFlags::FUSE_ASYNC_DIO
            | InitFlags::FUSE_PARALLEL_DIROPS
            | InitFlags::FUSE_CACHE_SYMLINKS
            | InitFlags::FUSE_EXPORT_SUPPORT
            | InitFlags::FUSE_EXPLICIT_INVAL_DATA
            | InitFlags::FUSE_HANDLE_KILLPRIV_V2
            | InitFlags::FUSE_DO_READDIRPLUS
            | InitFlags::FUSE_READDIRPLUS_AUTO;
        wanted.set(InitFlags::FUSE_WRITEBACK_CACHE, self.options.writeback);
        wanted.set(locks, !self.options.kernel_locks);
        config.remove_capabilities(locks - wanted);
        let offered = config.capabilities() & wanted;
        self.options.writeback = offered.contains(InitFlags::FUSE_WRITEBACK_CACHE);
        config.add_capabilities(offered).map_err(|refused| {
            io::Error::other(format!("the kernel offers {refused:?}, this library refuses them"))
        })
    }

    /// Names are remembered, unless every walk over them is to be checked anew.
    pub(crate) fn entry_ttl(&self) -> Duration {
        if self.options.check_permissions { Duration::ZERO } else { TTL }
    }

    /// Attributes are remembered too. Of a file in the writeback cache the kernel knows the size
    /// and the times, but not how much room was taken for what it sent in the background.
    pub(crate) fn attr_ttl(&self, attr: &FileAttr) -> Duration {
        let written_back = self.options.writeback && attr.kind == FileType::RegularFile;
        if written_back { Duration::ZERO } else { TTL }
    }

    /// Whether a file was open for writing where something is done through it.
    pub(crate) fn through_writer(fh: Option<FileHandle>) -> bool {
        fh.is_some_and(|fh| fh.0 & 1 != 0)
    }

    pub(crate) fn write_mode(&self, flags: WriteFlags) -> WriteMode {
        WriteMode {
            kill_privileges: flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID),
            keep_times: self.options.writeback && flags.contains(WriteFlags::FUSE_WRITE_CACHE),
        }
    }

    /// A descriptor was closed.
    pub(crate) fn closed(&self, ino: INodeNo, owner: LockOwner) -> Result<(), Errno> {
        if self.options.kernel_locks {
            // Then there is nothing to do here, and the kernel need not ask again.
            return Err(Errno::ENOSYS);
        }
        self.store.flush(ino.0, owner.0);
        Ok(())
    }

    /// An open file has no descriptor any more; `owner` held a `flock(2)` of it.
    pub(crate) fn released(&self, ino: INodeNo, owner: Option<LockOwner>) {
        if let Some(owner) = owner {
            self.store.unlock(ino.0, Family::Flock, owner.0, 0, u64::MAX);
        }
        self.store.release(ino.0);
    }

    /// The next data or hole.
    pub(crate) fn next_place(&self, ino: INodeNo, offset: i64, whence: i32) -> Result<i64, Errno> {
        if self.options.writeback {
            // What the kernel has not sent yet would be taken for a hole. It makes do without an answer.
            return Err(Errno::ENOSYS);
        }
        self.store.lseek(ino.0, offset, whence)
    }
}

impl Lock {
    /// A lock as `fcntl(2)` describes it.
    pub(crate) fn asked(owner: LockOwner, pid: u32, typ: i32, start: u64, end: u64) -> Self {
        Self { owner: owner.0, pid, exclusive: typ == libc::F_WRLCK, start, end }
    }

    /// Of which kind it is, in the words of `fcntl(2)`.
    pub(crate) fn typ(&self) -> i32 {
        if self.exclusive { libc::F_WRLCK } else { libc::F_RDLCK }
    }
}

/// All that `statx(2)` tells: the time of birth too.
pub(crate) fn with_birth(attr: FileAttr) -> StatxAttr {
    StatxAttr { btime: Some(attr.crtime), ..StatxAttr::from(attr) }
}

/// Nothing changes behind the kernel's back.
const TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Cached pages stay valid from one opening to the next.
pub(crate) const OPENED: FopenFlags = FopenFlags::FOPEN_KEEP_CACHE;
