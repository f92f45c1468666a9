//! The filesystem on polyfuse. Its session blocks, so that threads read requests from it.

use std::io;
use std::thread::{self, sleep};

use ::polyfuse::reply::{AttrOut, EntryOut, FileAttr, OpenOut, ReaddirOut, WriteOut};
use ::polyfuse::{KernelConfig, Operation, Request, Session};
use nix::errno::Errno;
use nix::unistd::access;

use super::Place;
use crate::tree::{self, DELAY, MAX_WRITE, TTL, Tree};

pub(crate) fn serve(place: &Place) -> io::Result<()> {
    let mut config = KernelConfig::default();
    // The unmounting is ours to do.
    config.auto_unmount(false).max_write(MAX_WRITE).mount_option("fsname=benches");
    // It looks for libfuse 2's program by itself.
    config.fusermount_path(fusermount()?);
    let session = Session::mount(place.mountpoint.clone(), config)?;
    let served = Served { tree: Tree::new(), content: tree::content() };
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..place.threads).map(|_| scope.spawn(|| served.run(&session))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a thread panicked"))
    })
}

fn fusermount() -> io::Result<&'static str> {
    ["/usr/bin/fusermount3", "/bin/fusermount3"]
        .into_iter()
        .find(|path| access(*path, nix::unistd::AccessFlags::X_OK).is_ok())
        .ok_or_else(|| io::Error::other("polyfuse needs fusermount3 (package fuse3)"))
}

const DT_REG: u32 = 8;

struct Served {
    tree: Tree,
    content: Vec<u8>,
}

impl Served {
    fn run(&self, session: &Session) -> io::Result<()> {
        while let Some(request) = session.next_request()? {
            self.answer(&request)?;
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> io::Result<()> {
        match request.operation().map_err(io::Error::other)? {
            Operation::Lookup(op) => match self.tree.child(op.parent(), op.name()) {
                Some(ino) => request.reply(entry(ino)),
                None => request.reply_error(Errno::ENOENT as i32),
            },
            Operation::Getattr(op) => {
                let mut out = AttrOut::default();
                fill(out.attr(), op.ino());
                out.ttl(TTL);
                request.reply(out)
            }
            Operation::Unlink(op) => {
                if self.tree.remove(op.parent(), op.name()) {
                    request.reply(())
                } else {
                    request.reply_error(Errno::ENOENT as i32)
                }
            }
            Operation::Open(op) => request.reply(opened(op.ino())),
            Operation::Opendir(_) => request.reply(OpenOut::default()),
            Operation::Read(op) => {
                if tree::is_slow(op.ino()) {
                    sleep(DELAY);
                }
                request.reply(&self.content[tree::range(op.offset(), op.size())])
            }
            Operation::Write(op, _data) => {
                let mut out = WriteOut::default();
                out.size(op.size());
                request.reply(out)
            }
            Operation::Readdir(op) => {
                let mut out = ReaddirOut::new(op.size() as usize);
                for (name, ino, next) in self.tree.entries(op.offset()) {
                    if out.entry(name.as_ref(), ino, DT_REG, next) {
                        break;
                    }
                }
                request.reply(out)
            }
            Operation::Create(op) => match self.tree.create(op.parent(), op.name()) {
                Some(ino) => request.reply((entry(ino), opened(ino))),
                None => request.reply_error(Errno::EACCES as i32),
            },
            Operation::Flush(_) | Operation::Release(_) | Operation::Releasedir(_) => {
                request.reply(())
            }
            Operation::Forget(_) | Operation::Interrupt(_) => Ok(()),
            _ => request.reply_error(Errno::ENOSYS as i32),
        }
    }
}

fn opened(ino: u64) -> OpenOut {
    let mut out = OpenOut::default();
    out.fh(ino);
    out.direct_io(true);
    out
}

fn entry(ino: u64) -> EntryOut {
    let mut out = EntryOut::default();
    fill(out.attr(), ino);
    out.ino(ino);
    out.ttl_attr(TTL);
    out.ttl_entry(TTL);
    out
}

fn fill(attr: &mut FileAttr, ino: u64) {
    attr.ino(ino);
    attr.size(tree::size(ino));
    attr.mode(tree::mode(ino));
    attr.nlink(1);
    attr.blksize(4096);
}
