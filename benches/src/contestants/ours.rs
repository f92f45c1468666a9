//! The filesystem on async-fuser's synchronous face.

pub(crate) use async_fuser as api;

#[path = "filesystem.rs"]
mod filesystem;

pub(crate) use filesystem::serve;
