//! A program written for fuser 0.18.
use std::ffi::OsStr;
use std::time::Duration;

use async_fuser as fuser;

use fuser::{Errno, FileAttr, Filesystem, Generation, INodeNo, ReplyEntry, Request};

struct One(FileAttr);

impl Filesystem for One {
    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let _ = (req.uid(), req.gid(), req.pid(), req.unique());
        if parent == INodeNo::ROOT && name == "one" {
            let (attr, entry) = (Duration::ZERO, Duration::from_secs(1));
            reply.entry_with_ttls(&attr, &entry, &self.0, Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }
}

#[allow(dead_code, reason = "that it compiles is the test")]
fn run(attr: FileAttr) -> std::io::Result<()> {
    fuser::spawn_mount(One(attr), "/mnt", &fuser::Config::default())?.umount_and_join()
}

fn main() {}
