//! [`MemFs`] on the sync face: each request becomes a call to the storage, its result a reply.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use async_fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags,
    Generation, INodeNo, IoctlFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl,
    ReplyLock, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyStatx, ReplyWrite, ReplyXattr, Request,
    RequestId, StatxMask, TimeOrNow, WriteFlags,
};

use super::MemFs;
use super::attr::Changes;
use super::data::PAGE;
use super::locks::{Family, Lock};
use super::names::NAME_MAX;
use super::rename::Place;
use super::replies;
use super::store::Waiter;

/// What is left out needs nothing done: `fsync`, as no place is safer than the one the data is in.
impl Filesystem for MemFs {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        self.negotiate(config)
    }

    fn interrupt(&self, _req: &Request, unique: RequestId) {
        self.store.interrupt(unique.0);
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.store.lookup(&req.into(), parent.0, name) {
            // The kernel may remember that, too.
            Err(Errno::ENOENT) => reply.negative(&self.entry_ttl()),
            result => self.enter(reply, result),
        }
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.store.forget(ino.0, nlookup);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        self.describe(reply, self.store.getattr(ino.0));
    }

    fn setattr_killpriv(
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
        kill_suid_gid: bool,
        reply: ReplyAttr,
    ) {
        let (open, kill_privileges) = (Self::through_writer(fh), kill_suid_gid);
        let changes = Changes { mode, uid, gid, size, atime, mtime, ctime, open, kill_privileges };
        self.describe(reply, self.store.setattr(&req.into(), ino.0, changes));
    }

    fn statx(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: Option<FileHandle>,
        _flags: u32,
        _mask: StatxMask,
        reply: ReplyStatx,
    ) {
        self.describe_all(reply, self.store.getattr(ino.0));
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        replies::target(reply, self.store.readlink(ino.0));
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
        replies::done(reply, self.store.unlink(&req.into(), parent.0, name));
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        replies::done(reply, self.store.rmdir(&req.into(), parent.0, name));
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
        replies::done(reply, self.store.rename(&req.into(), from, to, flags));
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
        replies::opened(reply, self.store.open(&req.into(), ino.0, flags.0));
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
        self.created(reply, self.store.create(&req.into(), parent.0, name, mode, flags));
    }

    fn tmpfile(
        &self,
        req: &Request,
        parent: INodeNo,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        self.created(reply, self.store.tmpfile(&req.into(), parent.0, mode, flags));
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
        let mode = self.write_mode(write_flags);
        replies::written(reply, self.store.write(ino.0, offset, data, mode));
    }

    fn flush(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        replies::done(reply, self.closed(ino, lock_owner));
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
        self.released(ino, lock_owner);
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
            reply.add(INodeNo(entry.node.ino), entry.cookie, entry.node.kind, entry.name)
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
            let attr = entry.node.attr();
            let ttl = self.entry_ttl().min(self.attr_ttl(&attr));
            reply.add(
                attr.ino,
                entry.cookie,
                entry.name,
                &ttl,
                &attr,
                Generation(entry.node.generation),
            )
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
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
        replies::done(reply, self.store.setxattr(&req.into(), ino.0, name, value, flags));
    }

    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        replies::xattr(reply, size, self.store.getxattr(&req.into(), ino.0, name));
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        replies::xattr(reply, size, self.store.listxattr(&req.into(), ino.0));
    }

    fn removexattr(&self, req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        replies::done(reply, self.store.removexattr(&req.into(), ino.0, name));
    }

    fn access(&self, req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        replies::done(reply, self.store.access(&req.into(), ino.0, mask.bits() as u32));
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
        let wanted = Lock::asked(lock_owner, pid, typ, start, end);
        match self.store.conflicting_lock(ino.0, &wanted) {
            Some(lock) => reply.locked(lock.start, lock.end, lock.typ(), lock.pid),
            None => reply.locked(start, end, libc::F_UNLCK, 0),
        }
    }

    fn setlk_flock(
        &self,
        req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        lock_owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        sleep: bool,
        flock: bool,
        reply: ReplyEmpty,
    ) {
        let (family, lock) = (Family::of(flock), Lock::asked(lock_owner, pid, typ, start, end));
        if !sleep || typ == libc::F_UNLCK {
            return replies::done(reply, self.store.set_lock(ino.0, family, typ, lock));
        }
        let waiter = Waiter::new(|result| replies::done(reply, result));
        self.store.lock(ino.0, family, lock, req.unique().0, waiter);
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
        replies::done(reply, self.store.fallocate(ino.0, offset, length, mode));
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
        replies::offset(reply, self.next_place(ino, offset, whence));
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
        replies::written(
            reply,
            self.store.copy((ino_in.0, offset_in), (ino_out.0, offset_out), len),
        );
    }
}
