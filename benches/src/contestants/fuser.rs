//! The filesystem on fuser.

pub(crate) use ::fuser as api;

#[allow(clippy::duplicate_mod, reason = "one source against two crates is the point")]
#[path = "filesystem.rs"]
mod filesystem;

pub(crate) use filesystem::serve;
