//! The filesystem on the asynchronous face of async-fuser 0.17. It has no `flush`, so that a file
//! is opened and closed with one request less.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use ::published::reply_async::{
    CreateResponse, DirectoryResponse, GetAttrResponse, LookupResponse, OpenResponse, ReadResponse,
    WriteResponse,
};
use ::published::{
    AsyncFilesystem, Config, Errno, FileAttr, FileHandle, FileType, FopenFlags, Generation,
    INodeNo, KernelConfig, LockOwner, MountOption, OpenFlags, Request, WriteFlags, mount_async,
};
use async_trait::async_trait;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::Place;
use crate::tree::{self, DELAY, MAX_WRITE, PERM, TTL, Tree};

pub(crate) fn serve(place: &Place, runtime: &Runtime) -> io::Result<()> {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("benches".to_owned())];
    let served = Served { tree: Tree::new(), content: tree::content().into() };
    runtime.block_on(mount_async(served, &place.mountpoint, &config))
}

struct Served {
    tree: Tree,
    content: Arc<[u8]>,
}

#[async_trait]
impl AsyncFilesystem for Served {
    async fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        config.set_max_write(MAX_WRITE).map(drop).or(Ok(()))
    }

    async fn lookup(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
    ) -> Result<LookupResponse, Errno> {
        let ino = self.tree.child(parent.0, name).ok_or(Errno::ENOENT)?;
        Ok(LookupResponse::new(TTL, attr(ino), Generation(0)))
    }

    async fn getattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<FileHandle>,
    ) -> Result<GetAttrResponse, Errno> {
        Ok(GetAttrResponse::new(TTL, attr(ino.0)))
    }

    async fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr) -> Result<(), Errno> {
        if self.tree.remove(parent.0, name) { Ok(()) } else { Err(Errno::ENOENT) }
    }

    async fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags) -> Result<OpenResponse, Errno> {
        Ok(OpenResponse::new(FileHandle(ino.0), FopenFlags::FOPEN_DIRECT_IO))
    }

    async fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
    ) -> Result<ReadResponse, Errno> {
        if tree::is_slow(ino.0) {
            sleep(DELAY).await;
        }
        Ok(ReadResponse::from_shared_slice(self.content.clone(), offset as usize, size as usize))
    }

    async fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
    ) -> Result<WriteResponse, Errno> {
        Ok(WriteResponse::new(data.len() as u32))
    }

    async fn release(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
    ) -> Result<(), Errno> {
        Ok(())
    }

    async fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags) -> Result<OpenResponse, Errno> {
        Ok(OpenResponse::new(FileHandle(0), FopenFlags::empty()))
    }

    async fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        size: u32,
        offset: u64,
    ) -> Result<DirectoryResponse, Errno> {
        let mut listing = DirectoryResponse::new(size as usize);
        for (name, ino, next) in self.tree.entries(offset) {
            if listing.add(INodeNo(ino), next, FileType::RegularFile, name) {
                break;
            }
        }
        Ok(listing)
    }

    async fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: OpenFlags,
    ) -> Result<(), Errno> {
        Ok(())
    }

    async fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        _: i32,
    ) -> Result<CreateResponse, Errno> {
        let ino = self.tree.create(parent.0, name).ok_or(Errno::EACCES)?;
        let (fh, flags) = (FileHandle(ino), FopenFlags::FOPEN_DIRECT_IO);
        Ok(CreateResponse::new(TTL, attr(ino), Generation(0), fh, flags))
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
