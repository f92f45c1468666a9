//! The asynchronous face: a filesystem whose methods are `async fn`, and its sessions on Tokio.

#[cfg(target_os = "macos")]
pub use crate::answer::XTimes;
pub use crate::answer::{
    Attr, Block, Created, Data, Entry, Ioctl, Listing, ListingPlus, Lock, Offset, Opened, Poll,
    ReadBuffer, Statfs, Statx, Written, Xattr,
};
pub use crate::async_filesystem::{AsyncFilesystem, Result};
pub use crate::async_session::{
    AsyncBackgroundSession, AsyncNotifier, AsyncSession, AsyncSessionBuilder, Cancellation,
    InFlight, SessionHandle, open_backing,
};
pub use crate::outcome::Reply;
pub use crate::serve::Serve;
