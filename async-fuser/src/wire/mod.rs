//! The protocol: bytes to operations, answers to bytes. Pure functions.

pub(crate) mod args;
pub(crate) mod dirents;
pub(crate) mod init;
mod message;
pub(crate) mod notify;

pub use args::{Args, DecodeError, Dialect};
pub(crate) use message::Message;
