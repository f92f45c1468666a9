//! fuser's experimental module: four asynchronous operations on the sync session.
//!
//! Kept for programs that use it. [`TokioAdapter`] is a [`Filesystem`] that runs each request as a
//! task of a Tokio runtime of its own.

use std::ffi::OsStr;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::filesystem::Filesystem;
use crate::reply::{ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry};
use crate::types::{
    Errno, FileAttr, FileHandle, FileType, Generation, INodeNo, LockOwner, OpenFlags, Request,
    RequestId,
};

/// What an operation comes to.
pub type Result<T> = std::result::Result<T, Errno>;

/// Who asks.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "as in fuser")]
pub struct RequestContext {
    user_id: u32,
    group_id: u32,
    process_id: u32,
    request_id: RequestId,
}

impl RequestContext {
    /// The user.
    pub fn user_id(&self) -> u32 {
        self.user_id
    }

    /// The group.
    pub fn group_id(&self) -> u32 {
        self.group_id
    }

    /// The process.
    pub fn process_id(&self) -> u32 {
        self.process_id
    }

    /// The request's number.
    pub fn request_id(&self) -> RequestId {
        self.request_id
    }
}

impl From<&Request> for RequestContext {
    fn from(req: &Request) -> Self {
        Self {
            user_id: req.uid(),
            group_id: req.gid(),
            process_id: req.pid(),
            request_id: req.unique(),
        }
    }
}

/// Takes the entries of a listing.
#[allow(missing_debug_implementations, reason = "as in fuser")]
pub struct DirEntListBuilder<'a> {
    reply: &'a mut ReplyDirectory,
}

impl DirEntListBuilder<'_> {
    /// Adds an entry. True if there was no room for it; see [`ReplyDirectory::add`].
    #[must_use]
    pub fn add<T: AsRef<OsStr>>(
        &mut self,
        ino: INodeNo,
        offset: u64,
        kind: FileType,
        name: T,
    ) -> bool {
        self.reply.add(ino, offset, kind, name)
    }
}

/// A directory entry that was found.
#[derive(Debug)]
pub struct LookupResponse {
    ttl: Duration,
    attr: FileAttr,
    generation: Generation,
}

impl LookupResponse {
    /// The kernel may use name and attributes for `ttl` without asking again.
    pub fn new(ttl: Duration, attr: FileAttr, generation: Generation) -> Self {
        Self { ttl, attr, generation }
    }
}

/// A file's attributes.
#[derive(Debug)]
pub struct GetAttrResponse {
    ttl: Duration,
    attr: FileAttr,
}

impl GetAttrResponse {
    /// The kernel may use the attributes for `ttl` without asking again.
    pub fn new(ttl: Duration, attr: FileAttr) -> Self {
        Self { ttl, attr }
    }
}

/// A filesystem of four asynchronous operations.
#[async_trait::async_trait]
pub trait AsyncFilesystem: Send + Sync + 'static {
    /// Look up a directory entry by name and get its attributes.
    async fn lookup(
        &self,
        context: &RequestContext,
        parent: INodeNo,
        name: &OsStr,
    ) -> Result<LookupResponse>;

    /// Get a file's attributes.
    async fn getattr(
        &self,
        context: &RequestContext,
        ino: INodeNo,
        file_handle: Option<FileHandle>,
    ) -> Result<GetAttrResponse>;

    /// Read at most `size` bytes from `offset` on into `out_data`, which comes empty.
    #[allow(clippy::too_many_arguments, reason = "fuser's signature")]
    async fn read(
        &self,
        context: &RequestContext,
        ino: INodeNo,
        file_handle: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        lock: Option<LockOwner>,
        out_data: &mut Vec<u8>,
    ) -> Result<()>;

    /// List a directory from `offset` on.
    async fn readdir(
        &self,
        context: &RequestContext,
        ino: INodeNo,
        file_handle: FileHandle,
        offset: u64,
        builder: DirEntListBuilder<'_>,
    ) -> Result<()>;
}

/// An [`AsyncFilesystem`] as a [`Filesystem`]. A task that panics answers `EIO`.
pub struct TokioAdapter<T: AsyncFilesystem> {
    filesystem: Arc<T>,
    runtime: tokio::runtime::Runtime,
}

impl<T: AsyncFilesystem> TokioAdapter<T> {
    /// Starts a multi-thread runtime.
    ///
    /// # Panics
    ///
    /// If the system has no threads or descriptors left for it.
    pub fn new(inner: T) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("the system has threads and descriptors for a Tokio runtime");
        Self { filesystem: Arc::new(inner), runtime }
    }
}

impl<T: fmt::Debug + AsyncFilesystem> fmt::Debug for TokioAdapter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioAdapter").field("filesystem", &self.filesystem).finish_non_exhaustive()
    }
}

impl<T: AsyncFilesystem + Send + Sync + 'static> Filesystem for TokioAdapter<T> {
    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let (fs, context, name) =
            (self.filesystem.clone(), RequestContext::from(req), name.to_owned());
        self.runtime.spawn(async move {
            match fs.lookup(&context, parent, &name).await {
                Ok(found) => reply.entry(&found.ttl, &found.attr, found.generation),
                Err(errno) => reply.error(errno),
            }
        });
    }

    fn getattr(&self, req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        let (fs, context) = (self.filesystem.clone(), RequestContext::from(req));
        self.runtime.spawn(async move {
            match fs.getattr(&context, ino, fh).await {
                Ok(got) => reply.attr(&got.ttl, &got.attr),
                Err(errno) => reply.error(errno),
            }
        });
    }

    fn read(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let (fs, context) = (self.filesystem.clone(), RequestContext::from(req));
        self.runtime.spawn(async move {
            let mut data = Vec::new();
            let read = fs.read(&context, ino, fh, offset, size, flags, lock_owner, &mut data);
            match read.await {
                Ok(()) => reply.data(&data),
                Err(errno) => reply.error(errno),
            }
        });
    }

    fn readdir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let (fs, context) = (self.filesystem.clone(), RequestContext::from(req));
        self.runtime.spawn(async move {
            let builder = DirEntListBuilder { reply: &mut reply };
            match fs.readdir(&context, ino, fh, offset, builder).await {
                Ok(()) => reply.ok(),
                Err(errno) => reply.error(errno),
            }
        });
    }
}
