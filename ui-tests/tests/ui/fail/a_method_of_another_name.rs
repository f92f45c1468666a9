use std::ffi::OsStr;

use async_fuser::{Errno, Filesystem, INodeNo, ReplyEntry, Request};

struct Misspelt;

impl Filesystem for Misspelt {
    fn lokup(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(Errno::ENOENT);
    }
}

fn main() {}
