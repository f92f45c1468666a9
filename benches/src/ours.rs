//! The filesystem on async-fuser.

pub(crate) use async_fuser as api;

#[path = "filesystem.rs"]
mod filesystem;

pub(crate) use filesystem::serve;
