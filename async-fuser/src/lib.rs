//! Filesystems in userspace: FUSE for Rust, sync and async.
//!
//! A program implements a trait, mounts it on a directory, and answers what the kernel asks
//! whenever a process uses a file below that directory.
//!
//! There are three ways to write it:
//!
//! * [`Filesystem`] is the trait of the `fuser` crate, method for method: a program written for fuser
//!   0.17 or 0.18 compiles with `use async_fuser as fuser;`. A reply answers each request.
//! * [`AsyncFilesystem`] is its asynchronous sibling: an `async fn` for each operation, on Tokio. It is
//!   for what waits, and cancels what nobody waits for any more.
//! * [`#[fuse_filesystem]`](macro@fuse_filesystem) writes the latter: a method names what it needs of
//!   a request, and returns what becomes the answer.
//!
//! [`migration`] says which is for whom, and how to get from one to another.
//!
//! # Examples
//!
//! A filesystem with nothing in it, mounted until somebody unmounts it:
//!
//! ```no_run
//! use async_fuser::{Config, Filesystem};
//!
//! struct Nothing;
//!
//! impl Filesystem for Nothing {}
//!
//! fn main() -> std::io::Result<()> {
//!     async_fuser::mount(Nothing, "/mnt", &Config::default())
//! }
//! ```
//!
//! # Features
//!
//! | feature | |
//! |---|---|
//! | `async` (default) | the asynchronous face, on Tokio |
//! | `macros` (default) | the attribute macro |
//! | `experimental` | fuser's module of that name |
//! | `serializable` | serde for the plain types |
//! | `libfuse`, `libfuse2`, `libfuse3` | mount through the C library |
//! | `macfuse-4-compat`, `macos-no-mount` | as in fuser |
//! | `abi-7-*` | ignored: what the kernel offers is found out at run time |

#![cfg_attr(
    not(feature = "async"),
    allow(rustdoc::broken_intra_doc_links, reason = "some lead to what that feature has")
)]
#![deny(unsafe_code)]

mod abi;
mod answer;
#[cfg(feature = "async")]
mod async_filesystem;
#[cfg(feature = "async")]
mod async_session;
#[cfg(feature = "async")]
pub mod convert;
mod dispatch;
mod duty;
#[cfg(feature = "experimental")]
pub mod experimental;
mod filesystem;
#[cfg(feature = "async")]
pub mod lib_async;
#[cfg(feature = "async")]
#[doc = include_str!("migration.md")]
pub mod migration {}
mod mount;
mod notifier;
pub mod op;
#[cfg(feature = "async")]
mod outcome;
mod reply;
#[cfg(feature = "async")]
mod serve;
mod session;
mod spare;
mod transport;
mod types;
mod wire;

use std::io;
use std::path::Path;

#[cfg(feature = "macros")]
#[doc = include_str!("fuse_filesystem.md")]
pub use async_fuser_macros::fuse_filesystem;
#[cfg(feature = "async")]
pub use convert::{Caller, DirEntry};
pub use filesystem::Filesystem;
#[cfg(feature = "async")]
pub use lib_async::AsyncFilesystem;
pub use mount::{Config, MountOption, SessionACL};
pub use notifier::{Notifier, PollNotifier};
pub use op::Operations;
#[cfg(target_os = "macos")]
pub use reply::ReplyXTimes;
pub use reply::{
    ReplyAttr, ReplyBmap, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyIoctl, ReplyLock, ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs, ReplyStatx,
    ReplyWrite, ReplyXattr,
};
pub use session::{BackgroundSession, Session, SessionUnmounter};
pub use transport::BackingId;
pub use types::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileAttr, FileHandle, FileType,
    FopenFlags, ForgetOne, Generation, INodeNo, InitFlags, IoctlFlags, LockOwner, OpenAccMode,
    OpenFlags, Owner, PollEvents, PollFlags, PollHandle, RenameFlags, Request, RequestId,
    StatxAttr, StatxAttributes, StatxMask, TimeOrNow, Version, WriteFlags, consts,
};
pub use wire::init::KernelConfig;

/// Mounts a filesystem and serves it until it is unmounted.
pub fn mount<FS: Filesystem, P: AsRef<Path>>(
    filesystem: FS,
    mountpoint: P,
    options: &Config,
) -> io::Result<()> {
    Session::new(filesystem, mountpoint, options)?.run()
}

/// As [`mount()`]: the name it has in fuser 0.17.
pub fn mount2<FS: Filesystem, P: AsRef<Path>>(
    filesystem: FS,
    mountpoint: P,
    options: &Config,
) -> io::Result<()> {
    mount(filesystem, mountpoint, options)
}

/// Mounts a filesystem and serves it on a thread of its own, until the session returned is dropped
/// or the filesystem is unmounted.
pub fn spawn_mount<'a, FS: Filesystem + Send + 'static + 'a, P: AsRef<Path>>(
    filesystem: FS,
    mountpoint: P,
    options: &Config,
) -> io::Result<BackgroundSession> {
    Session::new(filesystem, mountpoint, options)?.spawn()
}

/// As [`spawn_mount()`]: the name it has in fuser 0.17.
pub fn spawn_mount2<'a, FS: Filesystem + Send + 'static + 'a, P: AsRef<Path>>(
    filesystem: FS,
    mountpoint: P,
    options: &Config,
) -> io::Result<BackgroundSession> {
    spawn_mount(filesystem, mountpoint, options)
}

/// Mounts an asynchronous filesystem and serves it until it is unmounted.
///
/// If the future is dropped before, the filesystem is unmounted and its session ends by itself.
/// [`AsyncSessionBuilder`](lib_async::AsyncSessionBuilder) has more choices.
#[cfg(feature = "async")]
pub async fn mount_async<S: lib_async::Serve>(
    filesystem: S,
    mountpoint: impl AsRef<Path>,
    options: &Config,
) -> io::Result<()> {
    lib_async::AsyncSessionBuilder::new(filesystem)
        .config(options)
        .mount(mountpoint)
        .await?
        .run()
        .await
}

/// Mounts an asynchronous filesystem and serves it in the background, until the session returned is
/// dropped or the filesystem is unmounted.
#[cfg(feature = "async")]
pub async fn spawn_mount_async<S: lib_async::Serve>(
    filesystem: S,
    mountpoint: impl AsRef<Path>,
    options: &Config,
) -> io::Result<lib_async::AsyncBackgroundSession> {
    lib_async::AsyncSessionBuilder::new(filesystem).config(options).spawn(mountpoint).await
}

/// What the attribute macro writes calls these.
#[cfg(feature = "async")]
#[doc(hidden)]
pub mod __private {
    pub use crate::convert::expand::*;
}

/// The program in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
