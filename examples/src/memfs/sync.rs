//! [`MemFs`] as the kernel sees it: each request becomes a call to the storage, its result a reply.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use async_fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileAttr, FileHandle, FileType,
    Filesystem, FopenFlags, Generation, INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus,
    ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLock, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite,
    ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use super::MemFs;
use super::attr::Changes;
use super::data::PAGE;
use super::file::WriteMode;
use super::locks::{Family, Lock};
use super::names::NAME_MAX;
use super::perm::Caller;
use super::rename::Place;
use super::store::{Entry, Waiter};

/// How long the kernel may keep what it was told. Nothing changes behind its back.
const TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Cached pages stay valid from one opening to the next.
const OPENED: FopenFlags = FopenFlags::FOPEN_KEEP_CACHE;

impl Filesystem for MemFs {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let mut wanted = InitFlags::FUSE_ASYNC_READ
            | InitFlags::FUSE_ASYNC_DIO
            | InitFlags::FUSE_ATOMIC_O_TRUNC
            | InitFlags::FUSE_PARALLEL_DIROPS
            | InitFlags::FUSE_CACHE_SYMLINKS
            | InitFlags::FUSE_EXPORT_SUPPORT
            | InitFlags::FUSE_EXPLICIT_INVAL_DATA
            | InitFlags::FUSE_HANDLE_KILLPRIV_V2
            | InitFlags::FUSE_DO_READDIRPLUS
            | InitFlags::FUSE_READDIRPLUS_AUTO;
        if self.options.writeback {
            wanted |= InitFlags::FUSE_WRITEBACK_CACHE;
        }
        if !self.options.kernel_locks {
            wanted |= InitFlags::FUSE_POSIX_LOCKS;
        }
        let offered = config.capabilities() & wanted;
        self.options.writeback &= offered.contains(InitFlags::FUSE_WRITEBACK_CACHE);
        config
            .add_capabilities(offered)
            .map_err(|_| io::Error::other("the kernel took back an offered flag"))
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.store.lookup(&req.into(), parent.0, name) {
            // Inode 0: the kernel may remember that there is no such name.
            Err(Errno::ENOENT) => reply.entry(&self.entry_ttl(), &NO_INODE, Generation(0)),
            result => self.enter(reply, result),
        }
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.store.forget(ino.0, nlookup);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.store.getattr(ino.0) {
            Ok(attr) => reply.attr(&self.attr_ttl(&attr), &attr),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let (open, kill_privileges) = (fh.is_some(), !Caller::from(req).is_root());
        let changes = Changes { mode, uid, gid, size, atime, mtime, ctime, open, kill_privileges };
        match self.store.setattr(&req.into(), ino.0, changes) {
            Ok(attr) => reply.attr(&self.attr_ttl(&attr), &attr),
            Err(error) => reply.error(error),
        }
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        match self.store.readlink(ino.0) {
            Ok(target) => reply.data(target.as_encoded_bytes()),
            Err(error) => reply.error(error),
        }
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        self.enter(reply, self.store.mknod(&req.into(), parent.0, name, mode, rdev));
    }

    fn mkdir(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        self.enter(reply, self.store.mkdir(&req.into(), parent.0, name, mode));
    }

    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.store.unlink(&req.into(), parent.0, name));
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.store.rmdir(&req.into(), parent.0, name));
    }

    fn symlink(
        &self,
        req: &Request,
        parent: INodeNo,
        link_name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        self.enter(reply, self.store.symlink(&req.into(), parent.0, link_name, target));
    }

    fn rename(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let from = Place { parent: parent.0, name };
        let to = Place { parent: newparent.0, name: newname };
        answer(reply, self.store.rename(&req.into(), from, to, flags));
    }

    fn link(
        &self,
        req: &Request,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: ReplyEntry,
    ) {
        self.enter(reply, self.store.link(&req.into(), ino.0, newparent.0, newname));
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let caller = Caller::from(req);
        match self.store.open(&caller, ino.0, flags.0, !caller.is_root()) {
            Ok(handle) => reply.opened(FileHandle(handle), OPENED),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let caller = Caller::from(req);
        let created = self.store.create(&caller, parent.0, name, mode, flags, !caller.is_root());
        self.created(reply, created);
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.store.read(ino.0, offset, size, flags.0, |result| match result {
            Ok(bytes) => reply.data(bytes),
            Err(error) => reply.error(error),
        });
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mode = WriteMode {
            kill_privileges: write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID),
            keep_times: self.options.writeback
                && write_flags.contains(WriteFlags::FUSE_WRITE_CACHE),
        };
        match self.store.write(ino.0, offset, data, mode) {
            Ok(written) => reply.written(written),
            Err(error) => reply.error(error),
        }
    }

    fn flush(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        self.store.flush(ino.0, lock_owner.0);
        reply.ok();
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        if let Some(owner) = lock_owner {
            self.store.unlock(ino.0, Family::Flock, owner.0, 0, u64::MAX);
        }
        self.store.release(ino.0);
        reply.ok();
    }

    fn fsync(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        // There is no place safer than the one where the data is.
        reply.ok();
    }

    fn opendir(&self, req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.store.opendir(&req.into(), ino.0) {
            // Where a listing is, its cookies say; there is nothing else to remember.
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listed = self.store.readdir(ino.0, offset, false, |entry| {
            reply.add(INodeNo(entry.ino), entry.cookie, entry.kind, entry.name)
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    fn readdirplus(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let listed = self.store.readdir(ino.0, offset, true, |entry| {
            let (attr, generation) = match entry.node {
                Some(node) => (node.attr(), Generation(node.generation)),
                None => (
                    FileAttr { ino: INodeNo(entry.ino), kind: entry.kind, ..NO_INODE },
                    Generation(0),
                ),
            };
            let ttl = self.entry_ttl().min(self.attr_ttl(&attr));
            reply.add(INodeNo(entry.ino), entry.cookie, entry.name, &ttl, &attr, generation)
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    fn fsyncdir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let all = self.store.statfs();
        let page = PAGE as u32;
        reply.statfs(
            all.blocks,
            all.free,
            all.free,
            all.files,
            all.free_files,
            page,
            NAME_MAX as u32,
            page,
        );
    }

    fn setxattr(
        &self,
        req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        answer(reply, self.store.setxattr(&req.into(), ino.0, name, value, flags));
    }

    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        answer_xattr(reply, size, self.store.getxattr(&req.into(), ino.0, name));
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        answer_xattr(reply, size, self.store.listxattr(&req.into(), ino.0));
    }

    fn removexattr(&self, req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.store.removexattr(&req.into(), ino.0, name));
    }

    fn access(&self, req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        answer(reply, self.store.access(&req.into(), ino.0, mask.bits() as u32));
    }

    fn getlk(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        lock_owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        reply: ReplyLock,
    ) {
        let exclusive = typ == libc::F_WRLCK;
        let wanted = Lock { owner: lock_owner.0, pid, exclusive, start, end };
        match self.store.conflicting_lock(ino.0, &wanted) {
            Some(held) => reply.locked(held.start, held.end, lock_type(&held), held.pid),
            None => reply.locked(start, end, libc::F_UNLCK, 0),
        }
    }

    fn setlk(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        lock_owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        sleep: bool,
        reply: ReplyEmpty,
    ) {
        self.set_lock(ino, Family::Posix, (lock_owner.0, pid), (start, end), typ, sleep, reply);
    }

    fn ioctl(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _flags: IoctlFlags,
        _cmd: u32,
        _in_data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    fn fallocate(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        answer(reply, self.store.fallocate(ino.0, offset, length, mode));
    }

    fn lseek(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        if self.options.writeback {
            // What the kernel has not sent yet would be taken for a hole. It makes do without an answer.
            return reply.error(Errno::ENOSYS);
        }
        match self.store.lseek(ino.0, offset, whence) {
            Ok(offset) => reply.offset(offset),
            Err(error) => reply.error(error),
        }
    }

    fn copy_file_range(
        &self,
        _req: &Request,
        ino_in: INodeNo,
        _fh_in: FileHandle,
        offset_in: u64,
        ino_out: INodeNo,
        _fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let len = len.min(u64::from(u32::MAX) / PAGE * PAGE);
        match self.store.copy((ino_in.0, offset_in), (ino_out.0, offset_out), len) {
            Ok(copied) => reply.written(copied as u32),
            Err(error) => reply.error(error),
        }
    }
}

impl MemFs {
    /// Names are remembered, unless every walk over them is to be checked anew.
    fn entry_ttl(&self) -> Duration {
        if self.options.check_permissions { Duration::ZERO } else { TTL }
    }

    /// Attributes are remembered too. Of a file in the writeback cache the kernel knows the size and
    /// the times, but not how much room was taken for what it sent in the background.
    fn attr_ttl(&self, attr: &FileAttr) -> Duration {
        if self.options.writeback && attr.kind == FileType::RegularFile { Duration::ZERO } else { TTL }
    }

    fn enter(&self, reply: ReplyEntry, result: Result<Entry, Errno>) {
        match result {
            Ok(entry) => {
                reply.entry_with_ttls(&TTL, &self.entry_ttl(), &entry.attr, entry.generation)
            }
            Err(error) => reply.error(error),
        }
    }

    fn created(&self, reply: ReplyCreate, result: Result<(Entry, u64), Errno>) {
        match result {
            Ok((Entry { attr, generation }, handle)) => {
                let ttl = self.entry_ttl().min(self.attr_ttl(&attr));
                reply.created(&ttl, &attr, generation, FileHandle(handle), OPENED);
            }
            Err(error) => reply.error(error),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn set_lock(
        &self,
        ino: INodeNo,
        family: Family,
        (owner, pid): (u64, u32),
        (start, end): (u64, u64),
        typ: i32,
        sleep: bool,
        reply: ReplyEmpty,
    ) {
        if typ == libc::F_UNLCK {
            self.store.unlock(ino.0, family, owner, start, end);
            return reply.ok();
        }
        let lock = Lock { owner, pid, exclusive: typ == libc::F_WRLCK, start, end };
        self.store.lock(ino.0, family, lock, sleep, Waiter::new(|result| answer(reply, result)));
    }
}

fn answer(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

/// A caller with room for no bytes asks how many there are.
fn answer_xattr(reply: ReplyXattr, size: u32, result: Result<Vec<u8>, Errno>) {
    match result {
        Ok(value) if size == 0 => reply.size(value.len() as u32),
        Ok(value) if value.len() > size as usize => reply.error(Errno::ERANGE),
        Ok(value) => reply.data(&value),
        Err(error) => reply.error(error),
    }
}

fn lock_type(lock: &Lock) -> i32 {
    if lock.exclusive { libc::F_WRLCK } else { libc::F_RDLCK }
}

/// The attributes of nothing.
const NO_INODE: FileAttr = FileAttr {
    ino: INodeNo(0),
    size: 0,
    blocks: 0,
    atime: SystemTime::UNIX_EPOCH,
    mtime: SystemTime::UNIX_EPOCH,
    ctime: SystemTime::UNIX_EPOCH,
    crtime: SystemTime::UNIX_EPOCH,
    kind: FileType::RegularFile,
    perm: 0,
    nlink: 0,
    uid: 0,
    gid: 0,
    rdev: 0,
    blksize: PAGE as u32,
    flags: 0,
};
