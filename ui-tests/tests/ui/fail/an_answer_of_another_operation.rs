use async_fuser::{Filesystem, INodeNo, OpenFlags, ReplyEmpty, Request};

struct Confused;

impl Filesystem for Confused {
    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyEmpty) {
        reply.ok();
    }
}

fn main() {}
