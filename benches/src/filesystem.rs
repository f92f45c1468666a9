//! What both contestants serve, compiled once against each. It has no locks, allocates nothing
//! while it serves, and lets the kernel remember nothing: every system call is a request.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use super::api::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags, spawn_mount,
};
use crate::server::Threads;
use crate::workload::{DIRECTORY, ENTRIES, FILE, FILE_SIZE, NEW};

/// Serves until the standard input ends.
pub(crate) fn serve(mountpoint: &Path, threads: Threads) -> io::Result<()> {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("benches".to_owned())];
    config.n_threads = Some(threads.number);
    config.clone_fd = threads.clone_fd;
    let session = spawn_mount(Tree::new(), mountpoint, &config)?;
    io::stdin().read_to_end(&mut Vec::new())?;
    session.umount_and_join()
}

/// A directory for each caller, so that callers do not wait for each other's locks in the kernel.
/// In each: one file that is read and written, one that comes and goes, and many to be listed.
struct Tree {
    content: Vec<u8>,
    entries: Vec<String>,
    /// For each caller, whether its new file exists.
    new: Vec<AtomicU64>,
}

const TTL: Duration = Duration::ZERO;
const CALLERS: u64 = 64;
const DIRECTORIES: u64 = 100;
const FILES: u64 = 200;
const NEWS: u64 = 300;
const OTHERS: u64 = 400;

impl Tree {
    fn new() -> Self {
        Self {
            content: vec![b'x'; FILE_SIZE],
            entries: (0..ENTRIES).map(|i| format!("entry-{i:03}")).collect(),
            new: (0..CALLERS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn child(&self, parent: INodeNo, name: &OsStr) -> Option<INodeNo> {
        let name = name.to_str()?;
        if parent == INodeNo::ROOT {
            let caller: u64 = name.strip_prefix(DIRECTORY)?.parse().ok()?;
            return (caller < CALLERS).then_some(INodeNo(DIRECTORIES + caller));
        }
        let caller = caller(parent)?;
        match name {
            FILE => Some(INodeNo(FILES + caller)),
            NEW if self.new[caller as usize].load(Ordering::Relaxed) != 0 => {
                Some(INodeNo(NEWS + caller))
            }
            _ => None,
        }
    }
}

impl Filesystem for Tree {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.child(parent, name) {
            Some(ino) => reply.entry(&TTL, &attr(ino), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &attr(ino));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        match caller(parent) {
            Some(caller) if name == NEW => {
                self.new[caller as usize].store(0, Ordering::Relaxed);
                reply.ok();
            }
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(ino.0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let rest = self.content.get(offset as usize..).unwrap_or_default();
        reply.data(&rest[..rest.len().min(size as usize)]);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        reply.written(data.len() as u32);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        for (next, name) in (1..).zip(&self.entries).skip(offset as usize) {
            if reply.add(INodeNo(OTHERS + next), next, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match caller(parent) {
            Some(caller) if name == NEW => {
                self.new[caller as usize].store(1, Ordering::Relaxed);
                let ino = INodeNo(NEWS + caller);
                let (fh, flags) = (FileHandle(ino.0), FopenFlags::FOPEN_DIRECT_IO);
                reply.created(&TTL, &attr(ino), Generation(0), fh, flags);
            }
            _ => reply.error(Errno::EACCES),
        }
    }
}

/// Whose directory it is.
fn caller(directory: INodeNo) -> Option<u64> {
    directory.0.checked_sub(DIRECTORIES).filter(|caller| *caller < CALLERS)
}

fn attr(ino: INodeNo) -> FileAttr {
    let is_directory = ino.0 < FILES;
    FileAttr {
        ino,
        size: if is_directory { 0 } else { FILE_SIZE as u64 },
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if is_directory { FileType::Directory } else { FileType::RegularFile },
        perm: 0o755,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}
