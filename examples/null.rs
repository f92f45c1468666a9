//! The smallest filesystem there is: it implements nothing.
//!
//! Every method of [`Filesystem`] has a default, so an empty `impl` mounts. What the kernel then asks is
//! answered with "not implemented" (`ENOSYS`), and that is worth seeing once:
//!
//! * `stat` of the mountpoint fails, because it needs `getattr`, and so does everything that goes
//!   through a path, because it needs `lookup`;
//! * `stat -f` works, because the default `statfs` answers zeros;
//! * unmounting works, because it asks the filesystem nothing.
//!
//! From here a filesystem grows a method at a time; `-v` logs what was asked for and not there.
//! The next step up is `hello`.

use std::process::ExitCode;

use async_fuser::Filesystem;
use clap::Parser;
use examples::cli::{Args, Example};

const EXAMPLE: Example = Example {
    name: "null",
    try_it: &[
        "stat {}       # Function not implemented",
        "stat -f {}    # all zeros, but an answer",
    ],
};

/// A filesystem that implements nothing: all it can do is be mounted
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    mount: Args,
}

struct Null;

impl Filesystem for Null {}

fn main() -> ExitCode {
    let cli: Cli = EXAMPLE.parse();
    EXAMPLE.run(&cli.mount, Null)
}
