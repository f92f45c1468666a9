//! The procedural macros of `async-fuser`. None is public yet: the attribute `#[fuse_filesystem]`
//! goes here.
