#![deny(unused_must_use)]

use async_fuser::{FileHandle, FileType, Filesystem, INodeNo, ReplyDirectory, Request};

struct Careless;

impl Filesystem for Careless {
    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _: u64,
        mut reply: ReplyDirectory,
    ) {
        reply.add(ino, 1, FileType::Directory, ".");
        reply.ok();
    }
}

fn main() {}
