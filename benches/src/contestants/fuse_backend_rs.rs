//! The filesystem on fuse-backend-rs. It always mounts with `default_permissions`, which costs
//! more requests for each open and creation, as the kernel may remember nothing.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::thread::{self, sleep};
use std::time::Duration;

use ::fuse_backend_rs::abi::fuse_abi::{CreateIn, stat64};
use ::fuse_backend_rs::api::filesystem::{
    Context, DirEntry, Entry, FileSystem, FsOptions, OpenOptions, ZeroCopyReader, ZeroCopyWriter,
};
use ::fuse_backend_rs::api::server::Server;
use ::fuse_backend_rs::transport::{FuseChannel, FuseSession};
use nix::errno::Errno;

use super::Place;
use crate::tree::{self, DELAY, TTL, Tree};

pub(crate) fn serve(place: &Place) -> io::Result<()> {
    let mut session = FuseSession::new(&place.mountpoint, "benches", "", false).map_err(other)?;
    session.set_allow_other(false);
    session.mount().map_err(other)?;
    let server = Arc::new(Server::new(Served { tree: Tree::new(), content: tree::content() }));
    let mut threads = Vec::new();
    for _ in 0..place.threads {
        let (channel, server) = (session.new_channel().map_err(other)?, server.clone());
        threads.push(thread::spawn(move || run(channel, &server)));
    }
    threads.into_iter().try_for_each(|thread| thread.join().expect("a thread panicked"))
}

fn run(mut channel: FuseChannel, server: &Server<Served>) -> io::Result<()> {
    while let Some((reader, writer)) = channel.get_request().map_err(other)? {
        server.handle_message(reader, writer.into(), None, None).map_err(other)?;
    }
    Ok(())
}

fn other(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

const DT_REG: u32 = 8;

struct Served {
    tree: Tree,
    content: Vec<u8>,
}

impl FileSystem for Served {
    type Inode = u64;
    type Handle = u64;

    fn init(&self, _: FsOptions) -> io::Result<FsOptions> {
        Ok(FsOptions::ASYNC_READ
            | FsOptions::ASYNC_DIO
            | FsOptions::PARALLEL_DIROPS
            | FsOptions::BIG_WRITES
            | FsOptions::MAX_PAGES)
    }

    fn lookup(&self, _: &Context, parent: u64, name: &CStr) -> io::Result<Entry> {
        self.tree.child(parent, os(name)).map(entry).ok_or_else(|| Errno::ENOENT.into())
    }

    fn forget(&self, _: &Context, _: u64, _: u64) {}

    fn getattr(&self, _: &Context, ino: u64, _: Option<u64>) -> io::Result<(stat64, Duration)> {
        Ok((entry(ino).attr, TTL))
    }

    fn unlink(&self, _: &Context, parent: u64, name: &CStr) -> io::Result<()> {
        if self.tree.remove(parent, os(name)) { Ok(()) } else { Err(Errno::ENOENT.into()) }
    }

    fn open(
        &self,
        _: &Context,
        ino: u64,
        _: u32,
        _: u32,
    ) -> io::Result<(Option<u64>, OpenOptions, Option<u32>)> {
        Ok((Some(ino), OpenOptions::DIRECT_IO, None))
    }

    fn create(
        &self,
        _: &Context,
        parent: u64,
        name: &CStr,
        _: CreateIn,
    ) -> io::Result<(Entry, Option<u64>, OpenOptions, Option<u32>)> {
        let ino = self.tree.create(parent, os(name)).ok_or(Errno::EACCES)?;
        Ok((entry(ino), Some(ino), OpenOptions::DIRECT_IO, None))
    }

    fn read(
        &self,
        _: &Context,
        ino: u64,
        _: u64,
        out: &mut dyn ZeroCopyWriter,
        size: u32,
        offset: u64,
        _: Option<u64>,
        _: u32,
    ) -> io::Result<usize> {
        if tree::is_slow(ino) {
            sleep(DELAY);
        }
        out.write(&self.content[tree::range(offset, size)])
    }

    fn write(
        &self,
        _: &Context,
        _: u64,
        _: u64,
        _: &mut dyn ZeroCopyReader,
        size: u32,
        _: u64,
        _: Option<u64>,
        _: bool,
        _: u32,
        _: u32,
    ) -> io::Result<usize> {
        Ok(size as usize)
    }

    fn flush(&self, _: &Context, _: u64, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn release(
        &self,
        _: &Context,
        _: u64,
        _: u32,
        _: u64,
        _: bool,
        _: bool,
        _: Option<u64>,
    ) -> io::Result<()> {
        Ok(())
    }

    fn readdir(
        &self,
        _: &Context,
        _: u64,
        _: u64,
        _: u32,
        offset: u64,
        add: &mut dyn FnMut(DirEntry<'_>) -> io::Result<usize>,
    ) -> io::Result<()> {
        for (name, ino, next) in self.tree.entries(offset) {
            if add(DirEntry { ino, offset: next, type_: DT_REG, name: name.as_bytes() })? == 0 {
                break;
            }
        }
        Ok(())
    }

    fn releasedir(&self, _: &Context, _: u64, _: u32, _: u64) -> io::Result<()> {
        Ok(())
    }
}

fn os(name: &CStr) -> &OsStr {
    OsStr::from_bytes(name.to_bytes())
}

fn entry(ino: u64) -> Entry {
    // All zero, times and timeouts included.
    let mut entry = Entry { inode: ino, ..Entry::default() };
    entry.attr.st_ino = ino;
    entry.attr.st_mode = tree::mode(ino);
    entry.attr.st_size = tree::size(ino) as i64;
    entry.attr.st_nlink = 1;
    entry.attr.st_blksize = 4096;
    entry.attr_timeout = TTL;
    entry.entry_timeout = TTL;
    entry
}
