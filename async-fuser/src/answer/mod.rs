//! What operations come to.
//!
//! `body` has what each answer looks like to the kernel: pure functions, shared by every engine.
//! The rest are the answers that an [`AsyncFilesystem`](crate::AsyncFilesystem) returns, as values.

pub(crate) mod body;
#[cfg(feature = "async")]
mod data;
#[cfg(feature = "async")]
mod listing;
#[cfg(feature = "async")]
mod values;

pub(crate) use body::*;
#[cfg(feature = "async")]
pub use data::{Data, ReadBuffer};
#[cfg(feature = "async")]
pub use listing::{Listing, ListingPlus};
#[cfg(feature = "async")]
pub use values::*;
