//! The asynchronous engine against a kernel that says whatever it likes: a socket stands for
//! `/dev/fuse`. Each test runs on both kinds of runtime.

#![cfg(target_os = "linux")]

mod answers;
mod beginning;
mod broken;
mod cancellation;
mod deadlines;
mod end;
mod left_out;
mod limits;
mod listing;
mod notifications;
mod panics;
mod stage;
mod waiting;
