//! Any of the parameters, in any order, under any of their names.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_fuser::lib_async::{AsyncNotifier, Cancellation, Listing, ListingPlus, Result};
use async_fuser::{
    Caller, DirEntry, FileAttr, FileHandle, FileType, INodeNo, KernelConfig, LockOwner, OpenFlags,
    RenameFlags, Request, TimeOrNow, fuse_filesystem, lib_async, op,
};

struct Files;

#[fuse_filesystem]
#[allow(unused_variables)]
impl Files {
    async fn init(&mut self, req: &Request, caller: Caller, config: &KernelConfig) -> Result<()> {
        Ok(())
    }

    async fn destroy(&mut self) {}

    async fn setattr(
        &self,
        size: Option<usize>,
        mtime: Option<TimeOrNow>,
        atime: Option<SystemTime>,
        ctime: Option<Duration>,
        fh: Option<u64>,
        ino: INodeNo,
        mode: Option<u16>,
    ) -> Result<FileAttr> {
        Err(async_fuser::Errno::ENOSYS)
    }

    async fn rename(
        &self,
        newname: &str,
        _name: OsString,
        mut flags: RenameFlags,
        req: &Request,
        newparent: u64,
        parent: INodeNo,
    ) -> Result<()> {
        flags.remove(RenameFlags::RENAME_NOREPLACE);
        Ok(())
    }

    async fn symlink(&self, target: &Path, link_name: PathBuf, r#caller: Caller) -> Result<FileAttr> {
        Err(async_fuser::Errno::ENOSYS)
    }

    async fn read(
        self: &Self,
        stop: Cancellation,
        who: Caller,
        events: AsyncNotifier,
        #[fuse(field = offset)] at: i64,
        #[fuse(field = "size")] len: usize,
        lock_owner: Option<LockOwner>,
        flags: OpenFlags,
        fh: FileHandle,
    ) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    async fn write<'a>(&'a self, data: &'a [u8], op: op::Write<'a>) -> Result<usize> {
        Ok(data.len().min(op.data.len()))
    }

    #[fuse(op = "getxattr")]
    fn attribute(&self, name: &[u8], op: &op::Getxattr<'_>) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn readdir(&self, offset: u64, size: usize, listing: &mut Listing) -> Result<()> {
        Ok(())
    }

    async fn readdirplus(&self, offset: u64, listing: &mut ListingPlus) -> Result<()> {
        Ok(())
    }

    fn unlink(&self, name: &OsStr) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    #[fuse(skip)]
    fn helper<T>(_: T) {}
}

struct Whole;

#[fuse_filesystem]
impl Whole {
    async fn readdir(&self, op: op::Readdir<'_>) -> Result<lib_async::Listing> {
        Ok(lib_async::Listing::new(&op))
    }

    async fn readdirplus(&self, op: op::Readdirplus<'_>) -> Result<Vec<DirEntry>> {
        Ok(vec![DirEntry::new(INodeNo(op.offset), FileType::Socket, "socket")])
    }
}

fn main() {
    Files::helper(1);
}
