//! A program as written for fuser 0.18: one file in one directory, read-only.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::fuser;
use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, ReplyOpen,
    Request, SessionACL,
};

const TTL: Duration = Duration::from_secs(1);
const POEM: &[u8] = b"Over the wintry\nforest, winds howl in rage\nwith no leaves to blow.\n";

struct Poem;

impl Poem {
    fn attr(ino: INodeNo) -> Result<FileAttr, Errno> {
        let (kind, perm, size) = match ino.0 {
            1 => (FileType::Directory, 0o755, 0),
            2 => (FileType::RegularFile, 0o444, POEM.len() as u64),
            _ => return Err(Errno::ENOENT),
        };
        Ok(FileAttr {
            ino,
            size,
            blocks: 1,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 501,
            gid: 20,
            rdev: 0,
            blksize: 512,
            flags: 0,
        })
    }
}

impl Filesystem for Poem {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if parent != INodeNo::ROOT || name != "poem.txt" {
            return reply.error(Errno::ENOENT);
        }
        match Self::attr(INodeNo(2)) {
            Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match Self::attr(ino) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match (ino.0, flags.acc_mode()) {
            (2, fuser::OpenAccMode::O_RDONLY) => {
                reply.opened(FileHandle(1), FopenFlags::FOPEN_KEEP_CACHE);
            }
            _ => reply.error(Errno::EACCES),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        if ino.0 != 2 {
            return reply.error(Errno::EISDIR);
        }
        let start = POEM.len().min(offset as usize);
        let end = POEM.len().min(start + size as usize);
        reply.data(&POEM[start..end]);
    }

    fn readdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        if ino != INodeNo::ROOT {
            return reply.error(Errno::ENOTDIR);
        }
        let entries = [
            (1, FileType::Directory, "."),
            (1, FileType::Directory, ".."),
            (2, FileType::RegularFile, "poem.txt"),
        ];
        for (i, (ino, kind, name)) in entries.into_iter().enumerate().skip(offset as usize) {
            if reply.add(INodeNo(ino), i as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

/// The program's main: runs until somebody unmounts.
pub(crate) fn run(mountpoint: &Path) -> io::Result<()> {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::RO, MountOption::FSName("poem".to_string())];
    config.acl = SessionACL::RootAndOwner;
    config.n_threads = Some(2);
    fuser::mount(Poem, mountpoint, &config)
}
