//! Everything with a file descriptor between the session and the kernel.
//!
//! It carries buffers and messages, and has never heard of an operation.

mod abort;
mod backing;
mod buffer;
mod device;
mod port;

pub use backing::BackingId;
pub(crate) use buffer::Buffer;
#[cfg(feature = "async")]
pub(crate) use device::Polled;
#[cfg(not(target_os = "macos"))]
pub(crate) use device::is_connected;
pub(crate) use device::{Device, Received, inherited};
pub(crate) use port::{Abandoned, Port, Shared};
