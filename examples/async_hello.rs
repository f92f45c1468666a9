//! `hello` with `async fn`s: the same files, served by a Tokio runtime.
//!
//! A method takes one struct that says who asks and what, and returns the answer or an error number.
//! Nothing here has to wait, so each is answered where it was read. One that does wait (for a network,
//! a disk, a lock) becomes a task, and others are served meanwhile.

use std::process::ExitCode;

use async_fuser::lib_async::{AsyncFilesystem, Attr, Data, Entry, Listing, Result};
use async_fuser::{Operations, op};
use clap::Parser;
use examples::cli::{AsyncArgs, Example};
use examples::greetings::{self, TTL};

const EXAMPLE: Example = Example {
    name: "async_hello",
    try_it: &[
        "cat {}/greeting",
        "ls -lR {}",
        "head {}/languages/*",
        "touch {}/new    # Read-only file system",
    ],
};

/// A read-only filesystem with a greeting in it, served by a Tokio runtime
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: AsyncArgs,
}

struct Hello;

impl AsyncFilesystem for Hello {
    /// All that can be answered; the rest is answered without a call.
    const OPERATIONS: Operations = Operations::of(&["lookup", "getattr", "readdir", "read"]);

    async fn lookup(&self, op: op::Lookup<'_>) -> Result<Entry> {
        Ok(Entry::new(greetings::find(op.parent, op.name)?, TTL))
    }

    async fn getattr(&self, op: op::Getattr<'_>) -> Result<Attr> {
        Ok(Attr::new(greetings::attr(op.ino)?, TTL))
    }

    async fn readdir(&self, op: op::Readdir<'_>) -> Result<Listing> {
        let mut listing = Listing::new(&op);
        for (next, ino, kind, name) in greetings::entries(op.ino, op.offset)? {
            let full = listing.add(ino, next, kind, name);
            if full {
                break;
            }
        }
        Ok(listing)
    }

    async fn read(&self, op: op::Read<'_>) -> Result<Data<'_>> {
        let text = greetings::text(op.ino)?;
        Ok(Data::from(examples::part(text, op.offset, op.size)))
    }
}

fn main() -> ExitCode {
    let Cli { mut args } = EXAMPLE.parse();
    args.mount = args.mount.read_only();
    EXAMPLE.run_async(&args, Hello)
}
