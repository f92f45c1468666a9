//! [`MemFs`] on the asynchronous face: each request becomes a call to the storage, its result the
//! answer.
//!
//! The storage is in memory, so a method is ready when it is first polled. The one that waits is
//! `setlk`, for a lock.

use std::io;

use async_fuser::lib_async::{
    AsyncFilesystem, Attr, Created, Data, Entry, Listing, ListingPlus, Lock as LockInTheWay,
    Offset, Opened, ReadBuffer, Result, Statfs, Statx, Written, Xattr,
};
use async_fuser::{Errno, FileAttr, FileHandle, INodeNo, KernelConfig, Operations, Request, op};

use super::attr::Changes;
use super::data::PAGE;
use super::locks::{Family, Lock};
use super::names::NAME_MAX;
use super::rename::Place;
use super::requests::{OPENED, with_birth};
use super::{MemFs, store};

impl AsyncFilesystem for MemFs {
    /// What is left out needs nothing done: `fsync`, as no place is safer than the one the data is in.
    const OPERATIONS: Operations = Operations::of(&[
        "lookup",
        "forget",
        "getattr",
        "setattr",
        "statx",
        "readlink",
        "mknod",
        "mkdir",
        "unlink",
        "rmdir",
        "symlink",
        "rename",
        "link",
        "open",
        "create",
        "tmpfile",
        "read",
        "write",
        "flush",
        "release",
        "opendir",
        "readdir",
        "readdirplus",
        "statfs",
        "setxattr",
        "getxattr",
        "listxattr",
        "removexattr",
        "access",
        "getlk",
        "setlk",
        "fallocate",
        "lseek",
        "copy_file_range",
    ]);

    async fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        self.negotiate(config)
    }

    async fn lookup(&self, op: op::Lookup<'_>) -> Result<Entry> {
        match self.store.lookup(&op.req.into(), op.parent.0, op.name) {
            // The kernel may remember that, too.
            Err(Errno::ENOENT) => Ok(Entry::negative(self.entry_ttl())),
            result => Ok(self.entry(result?)),
        }
    }

    async fn forget(&self, op: op::Forget<'_>) {
        self.store.forget(op.ino.0, op.nlookup);
    }

    async fn getattr(&self, op: op::Getattr<'_>) -> Result<Attr> {
        Ok(self.attr(self.store.getattr(op.ino.0)?))
    }

    async fn setattr(&self, op: op::Setattr<'_>) -> Result<Attr> {
        let op::Setattr { req, ino, mode, uid, gid, size, atime, mtime, ctime, .. } = op;
        let (open, kill_privileges) = (Self::through_writer(op.fh), op.kill_suid_gid);
        let changes = Changes { mode, uid, gid, size, atime, mtime, ctime, open, kill_privileges };
        Ok(self.attr(self.store.setattr(&req.into(), ino.0, changes)?))
    }

    async fn statx(&self, op: op::Statx<'_>) -> Result<Statx> {
        let attr = self.store.getattr(op.ino.0)?;
        Ok(Statx::new(with_birth(attr), self.attr_ttl(&attr)))
    }

    async fn readlink(&self, op: op::Readlink<'_>) -> Result<Data<'_>> {
        Ok(Data::from(self.store.readlink(op.ino.0)?.into_encoded_bytes()))
    }

    async fn mknod(&self, op: op::Mknod<'_>) -> Result<Entry> {
        let op::Mknod { req, parent, name, mode, rdev, .. } = op;
        Ok(self.entry(self.store.mknod(&req.into(), parent.0, name, mode, rdev)?))
    }

    async fn mkdir(&self, op: op::Mkdir<'_>) -> Result<Entry> {
        Ok(self.entry(self.store.mkdir(&op.req.into(), op.parent.0, op.name, op.mode)?))
    }

    async fn unlink(&self, op: op::Unlink<'_>) -> Result<()> {
        self.store.unlink(&op.req.into(), op.parent.0, op.name)
    }

    async fn rmdir(&self, op: op::Rmdir<'_>) -> Result<()> {
        self.store.rmdir(&op.req.into(), op.parent.0, op.name)
    }

    async fn symlink(&self, op: op::Symlink<'_>) -> Result<Entry> {
        let op::Symlink { req, parent, link_name, target, .. } = op;
        Ok(self.entry(self.store.symlink(&req.into(), parent.0, link_name, target)?))
    }

    async fn rename(&self, op: op::Rename<'_>) -> Result<()> {
        let from = Place { parent: op.parent.0, name: op.name };
        let to = Place { parent: op.newparent.0, name: op.newname };
        self.store.rename(&op.req.into(), from, to, op.flags)
    }

    async fn link(&self, op: op::Link<'_>) -> Result<Entry> {
        let op::Link { req, ino, newparent, newname, .. } = op;
        Ok(self.entry(self.store.link(&req.into(), ino.0, newparent.0, newname)?))
    }

    async fn open(&self, op: op::Open<'_>) -> Result<Opened> {
        self.store.open(&op.req.into(), op.ino.0, op.flags.0).map(opened)
    }

    async fn create(&self, op: op::Create<'_>) -> Result<Created> {
        let op::Create { req, parent, name, mode, flags, .. } = op;
        let made = self.store.create(&req.into(), parent.0, name, mode, flags)?;
        Ok(self.new_file(made))
    }

    async fn tmpfile(&self, op: op::Tmpfile<'_>) -> Result<Created> {
        let made = self.store.tmpfile(&op.req.into(), op.parent.0, op.mode, op.flags)?;
        Ok(self.new_file(made))
    }

    async fn read(&self, op: op::Read<'_>) -> Result<Data<'_>> {
        let mut buffer = ReadBuffer::new(&op);
        let len = self.store.read(op.ino.0, op.offset, op.size, op.flags.0, |result| {
            result.map(|bytes| {
                buffer[..bytes.len()].copy_from_slice(bytes);
                bytes.len()
            })
        })?;
        Ok(buffer.filled(len))
    }

    async fn write(&self, op: op::Write<'_>) -> Result<Written> {
        let mode = self.write_mode(op.write_flags);
        self.store.write(op.ino.0, op.offset, op.data, mode).map(Written)
    }

    async fn flush(&self, op: op::Flush<'_>) -> Result<()> {
        self.closed(op.ino, op.lock_owner)
    }

    async fn release(&self, op: op::Release<'_>) -> Result<()> {
        self.released(op.ino, op.lock_owner);
        Ok(())
    }

    async fn opendir(&self, op: op::Opendir<'_>) -> Result<Opened> {
        self.store.opendir(&op.req.into(), op.ino.0)?;
        // Where a listing is, its cookies say; there is nothing else to remember.
        Ok(Opened::new(FileHandle(0)))
    }

    async fn readdir(&self, op: op::Readdir<'_>) -> Result<Listing> {
        let mut listing = Listing::new(&op);
        self.store.readdir(op.ino.0, op.offset, false, |entry| {
            listing.add(INodeNo(entry.node.ino), entry.cookie, entry.node.kind, entry.name)
        })?;
        Ok(listing)
    }

    async fn readdirplus(&self, op: op::Readdirplus<'_>) -> Result<ListingPlus> {
        let mut listing = ListingPlus::new(&op);
        self.store.readdir(op.ino.0, op.offset, true, |entry| {
            listing.add(entry.cookie, entry.name, &self.entry(store::Entry::of(entry.node)))
        })?;
        Ok(listing)
    }

    async fn statfs(&self, _op: op::Statfs<'_>) -> Result<Statfs> {
        let store::Statfs { blocks, free, files, free_files } = self.store.statfs();
        Ok(Statfs {
            blocks,
            bfree: free,
            bavail: free,
            files,
            ffree: free_files,
            bsize: PAGE as u32,
            namelen: NAME_MAX as u32,
            frsize: PAGE as u32,
        })
    }

    async fn setxattr(&self, op: op::Setxattr<'_>) -> Result<()> {
        self.store.setxattr(&op.req.into(), op.ino.0, op.name, op.value, op.flags)
    }

    async fn getxattr(&self, op: op::Getxattr<'_>) -> Result<Xattr<'_>> {
        self.store.getxattr(&op.req.into(), op.ino.0, op.name).map(Xattr::new)
    }

    async fn listxattr(&self, op: op::Listxattr<'_>) -> Result<Xattr<'_>> {
        self.store.listxattr(&op.req.into(), op.ino.0).map(Xattr::new)
    }

    async fn removexattr(&self, op: op::Removexattr<'_>) -> Result<()> {
        self.store.removexattr(&op.req.into(), op.ino.0, op.name)
    }

    async fn access(&self, op: op::Access<'_>) -> Result<()> {
        self.store.access(&op.req.into(), op.ino.0, op.mask.bits() as u32)
    }

    async fn getlk(&self, op: op::Getlk<'_>) -> Result<LockInTheWay> {
        let op::Getlk { lock_owner, start, end, typ, pid, .. } = op;
        let wanted = Lock::asked(lock_owner, pid, typ, start, end);
        Ok(match self.store.conflicting_lock(op.ino.0, &wanted) {
            Some(lock) => {
                let Lock { start, end, pid, .. } = lock;
                LockInTheWay { start, end, typ: lock.typ(), pid }
            }
            None => LockInTheWay { start, end, typ: libc::F_UNLCK, pid: 0 },
        })
    }

    async fn setlk(&self, op: op::Setlk<'_>) -> Result<()> {
        let op::Setlk { req, ino, lock_owner, start, end, typ, pid, sleep, flock, .. } = op;
        let (family, lock) = (Family::of(flock), Lock::asked(lock_owner, pid, typ, start, end));
        if !sleep || typ == libc::F_UNLCK {
            return self.store.set_lock(ino.0, family, typ, lock);
        }
        self.store.lock_when_free(ino.0, family, lock, req.unique().0).await
    }

    async fn fallocate(&self, op: op::Fallocate<'_>) -> Result<()> {
        self.store.fallocate(op.ino.0, op.offset, op.length, op.mode)
    }

    async fn lseek(&self, op: op::Lseek<'_>) -> Result<Offset> {
        self.next_place(op.ino, op.offset, op.whence).map(Offset)
    }

    async fn copy_file_range(&self, op: op::CopyFileRange<'_>) -> Result<Written> {
        let from = (op.ino_in.0, op.offset_in);
        let to = (op.ino_out.0, op.offset_out);
        self.store.copy(from, to, op.len).map(Written)
    }
}

impl MemFs {
    fn entry(&self, entry: store::Entry) -> Entry {
        let store::Entry { attr, generation } = entry;
        Entry::new(attr, self.entry_ttl())
            .with_attr_ttl(self.attr_ttl(&attr))
            .with_generation(generation)
    }

    fn attr(&self, attr: FileAttr) -> Attr {
        Attr::new(attr, self.attr_ttl(&attr))
    }

    fn new_file(&self, (entry, handle): (store::Entry, u64)) -> Created {
        let store::Entry { attr, generation } = entry;
        Created::new(attr, self.entry_ttl(), opened(handle))
            .with_attr_ttl(self.attr_ttl(&attr))
            .with_generation(generation)
    }
}

fn opened(handle: u64) -> Opened {
    Opened::new(FileHandle(handle)).with_flags(OPENED)
}
