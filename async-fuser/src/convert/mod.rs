//! What the methods of a [`#[fuse_filesystem]`](crate::fuse_filesystem) block may take and return.
//!
//! A parameter is made from a field of its operation by [`FromField`], or from the request as a
//! whole by [`FromRequest`]. What a method returns is a [`Outcome`], that is a `Result`: its `Ok`
//! becomes the operation's answer by one of the `Into` traits here, its `Err` an
//! [`Errno`](crate::Errno) by [`IntoErrno`]. All of them may be implemented for types of one's own.

mod answer;
#[allow(missing_docs, reason = "hidden: only what the attribute writes calls them")]
pub(crate) mod expand;
mod field;
mod listing;
mod request;
mod snapshots;
#[cfg(all(test, feature = "macros"))]
mod tests;

pub use answer::*;
pub use field::FromField;
pub use listing::{DirEntry, IntoDirEntry, IntoListing, IntoPage, Page};
pub(crate) use listing::{Entries, Lists};
pub use request::{Caller, FromRequest};
pub(crate) use snapshots::Snapshots;
