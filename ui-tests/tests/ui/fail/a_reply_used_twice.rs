use async_fuser::{Errno, Filesystem, INodeNo, ReplyEmpty, Request};

struct Twice;

impl Filesystem for Twice {
    fn syncfs(&self, _: &Request, _: INodeNo, reply: ReplyEmpty) {
        reply.ok();
        reply.error(Errno::EIO);
    }
}

fn main() {}
