//! Replies and notifiers may leave the method they were handed to.
use std::thread;

use async_fuser::{
    FileHandle, Filesystem, FopenFlags, INodeNo, Notifier, OpenFlags, ReplyOpen, Request,
};

struct Later(Notifier);

impl Filesystem for Later {
    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let notifier = self.0.clone();
        thread::spawn(move || {
            reply.opened(FileHandle(1), FopenFlags::empty());
            notifier.inval_inode(ino, 0, 0)
        });
    }
}

fn main() {}
