//! A read-only filesystem: a greeting, and a directory with the same in other languages.
//!
//! Four methods make a tree that can be read:
//!
//! * `lookup` goes one step down a path: directory and name in, inode number and attributes out;
//! * `getattr` is `stat(2)` of an inode the kernel knows the number of;
//! * `readdir` lists a directory, in pieces, each starting where the last one ended;
//! * `read` answers bytes of a file. `open` has a default that says yes.
//!
//! What there is to be served is in `src/greetings.rs`. `async_hello.rs` serves the same with `async fn`s.
//!
//! Each answer says how long the kernel may believe it without asking again. As nothing here ever
//! changes, that is an hour: list the directory twice with `-vv` and see the second time ask less.
//! The mount is read-only, so no write comes this far: the kernel answers `EROFS` itself.

use std::ffi::OsStr;
use std::process::ExitCode;

use async_fuser::{
    FileHandle, Filesystem, Generation, INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyData,
    ReplyDirectory, ReplyEntry, Request,
};
use clap::Parser;
use examples::cli::{Args, Example};
use examples::greetings::{self, TTL};

const EXAMPLE: Example = Example {
    name: "hello",
    try_it: &[
        "cat {}/greeting",
        "ls -lR {}",
        "head {}/languages/*",
        "touch {}/new    # Read-only file system",
    ],
};

/// A read-only filesystem with a greeting in it
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    mount: Args,
}

struct Hello;

impl Filesystem for Hello {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match greetings::find(parent, name) {
            Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match greetings::attr(ino) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let entries = match greetings::entries(ino, offset) {
            Ok(entries) => entries,
            Err(error) => return reply.error(error),
        };
        for (next, ino, kind, name) in entries {
            let full = reply.add(ino, next, kind, name);
            if full {
                break;
            }
        }
        reply.ok();
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match greetings::text(ino) {
            Ok(text) => reply.data(examples::part(text, offset, size)),
            Err(error) => reply.error(error),
        }
    }
}

fn main() -> ExitCode {
    let cli: Cli = EXAMPLE.parse();
    EXAMPLE.run(&cli.mount.read_only(), Hello)
}
