//! The filesystem on fuser's API, compiled once against each crate that has it.

use std::ffi::OsStr;
use std::io;
use std::thread::sleep;
use std::time::UNIX_EPOCH;

use super::api::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags, mount,
};
use crate::contestants::Place;
use crate::tree::{self, DELAY, MAX_WRITE, PERM, TTL, Tree};

pub(crate) fn serve(place: &Place) -> io::Result<()> {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("benches".to_owned())];
    config.n_threads = Some(place.threads);
    config.clone_fd = place.threads > 1;
    mount(Served { tree: Tree::new(), content: tree::content() }, &place.mountpoint, &config)
}

struct Served {
    tree: Tree,
    content: Vec<u8>,
}

impl Filesystem for Served {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // What is refused is replaced by the nearest.
        config.set_max_write(MAX_WRITE).map(drop).or(Ok(()))
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.tree.child(parent.0, name) {
            Some(ino) => reply.entry(&TTL, &attr(ino), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &attr(ino.0));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        if self.tree.remove(parent.0, name) {
            reply.ok();
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(ino.0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        if tree::is_slow(ino.0) {
            sleep(DELAY);
        }
        reply.data(&self.content[tree::range(offset, size)]);
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
        for (name, ino, next) in self.tree.entries(offset) {
            if reply.add(INodeNo(ino), next, FileType::RegularFile, name) {
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
        match self.tree.create(parent.0, name) {
            Some(ino) => {
                let (fh, flags) = (FileHandle(ino), FopenFlags::FOPEN_DIRECT_IO);
                reply.created(&TTL, &attr(ino), Generation(0), fh, flags);
            }
            None => reply.error(Errno::EACCES),
        }
    }
}

fn attr(ino: u64) -> FileAttr {
    FileAttr {
        ino: INodeNo(ino),
        size: tree::size(ino),
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if tree::is_directory(ino) { FileType::Directory } else { FileType::RegularFile },
        perm: PERM,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}
