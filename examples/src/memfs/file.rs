//! Open files: making, reading, writing, and the room they take.

use std::cell::Cell;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::SystemTime;

use async_fuser::{Errno, FileType};

use super::data::MAX_SIZE;
use super::locks::Family;
use super::names::New;
use super::node::Node;
use super::perm::{Caller, EXECUTE, READ, WRITE};
use super::store::{Entry, Store};

/// How a write is to be noted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WriteMode {
    /// Take the set-id bits away.
    pub(crate) kill_privileges: bool,
    /// The kernel keeps the times of this file itself.
    pub(crate) keep_times: bool,
}

impl Store {
    /// Open a file. The handle it returns is valid until [`release`](Self::release).
    pub(crate) fn open(&self, caller: &Caller, ino: u64, flags: i32) -> Result<u64, Errno> {
        let node = self.node(ino)?;
        self.check(caller, mask(flags), &node)?;
        node.pin();
        Ok(self.next_handle(flags))
    }

    /// Make a file and open it; one that exists is opened, unless `O_EXCL` says otherwise.
    pub(crate) fn create(
        &self,
        caller: &Caller,
        parent: u64,
        name: &OsStr,
        mode: u32,
        flags: i32,
    ) -> Result<(Entry, u64), Errno> {
        match self.make(caller, parent, name, New::of(FileType::RegularFile, mode)) {
            Ok(node) => {
                node.pin();
                Ok((Entry::of(&node), self.next_handle(flags)))
            }
            Err(Errno::EEXIST) if flags & libc::O_EXCL == 0 => {
                let ino = self.lookup(caller, parent, name)?.attr.ino.0;
                match self.open(caller, ino, flags) {
                    Ok(handle) => Ok((Entry::of(&*self.node(ino)?), handle)),
                    Err(error) => {
                        self.forget(ino, 1);
                        Err(error)
                    }
                }
            }
            Err(error) => Err(error),
        }
    }

    /// `O_TMPFILE`: a file without a name. With `O_EXCL` it never gets one.
    pub(crate) fn tmpfile(
        &self,
        caller: &Caller,
        parent: u64,
        mode: u32,
        flags: i32,
    ) -> Result<(Entry, u64), Errno> {
        let node = {
            let mut tree = self.tree_mut();
            let directory = tree.node(parent)?;
            tree.directory(parent)?;
            self.check(caller, WRITE | EXECUTE, directory)?;
            if directory.meta().nlink == 0 {
                return Err(Errno::ENOENT);
            }
            let node = self.add(&mut tree, caller, parent, New::of(FileType::RegularFile, mode))?;
            node.meta().nameless = flags & libc::O_EXCL == 0;
            node.pin();
            node
        };
        Ok((Entry::of(&node), self.next_handle(flags)))
    }

    /// Close what [`open`](Self::open) opened.
    pub(crate) fn release(&self, ino: u64) {
        self.forget(ino, 1);
    }

    /// One of the descriptors of an open file was closed: its process loses its locks on the file.
    pub(crate) fn flush(&self, ino: u64, owner: u64) {
        self.unlock(ino, Family::Posix, owner, 0, u64::MAX);
    }

    /// Give `size` bytes at `offset`, fewer at the end, to `then`. They are copied only where they
    /// do not lie in one piece.
    pub(crate) fn read<R>(
        &self,
        ino: u64,
        offset: u64,
        size: u32,
        flags: i32,
        then: impl FnOnce(Result<&[u8], Errno>) -> R,
    ) -> R {
        thread_local!(static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) });
        let node = match self.node(ino) {
            Ok(node) => node,
            Err(error) => return then(Err(error)),
        };
        if flags & libc::O_NOATIME == 0 {
            node.meta().accessed(SystemTime::now());
        }
        let data = match node.data() {
            Ok(data) => data,
            Err(error) => return then(Err(error)),
        };
        let mut buffer = BUFFER.take();
        let answer = then(Ok(data.read(offset, size as usize, &mut buffer)));
        BUFFER.set(buffer);
        answer
    }

    /// Store `bytes` and return how many there was room for.
    pub(crate) fn write(
        &self,
        ino: u64,
        offset: u64,
        bytes: &[u8],
        mode: WriteMode,
    ) -> Result<u64, Errno> {
        let node = self.node(ino)?;
        let written = node.data_mut()?.write(offset, bytes)?;
        if !mode.keep_times {
            node.modified(SystemTime::now(), mode.kill_privileges);
        }
        Ok(written as u64)
    }

    /// Reserve room, punch a hole, or zero a range.
    pub(crate) fn fallocate(
        &self,
        ino: u64,
        offset: u64,
        length: u64,
        mode: i32,
    ) -> Result<(), Errno> {
        let keep_size = mode & libc::FALLOC_FL_KEEP_SIZE != 0;
        let end = offset.checked_add(length).filter(|end| *end <= MAX_SIZE).ok_or(Errno::EFBIG)?;
        if length == 0 {
            return Err(Errno::EINVAL);
        }
        let node = self.node(ino)?;
        let mut data = node.data_mut()?;
        match mode & !libc::FALLOC_FL_KEEP_SIZE {
            0 => data.allocate(offset..end)?,
            libc::FALLOC_FL_PUNCH_HOLE if keep_size => data.punch(offset..end),
            libc::FALLOC_FL_ZERO_RANGE => {
                data.allocate(offset..end)?;
                data.zero(offset..end);
            }
            _ => return Err(Errno::EOPNOTSUPP),
        }
        if !keep_size {
            data.extend(end);
        }
        drop(data);
        node.modified(SystemTime::now(), false);
        Ok(())
    }

    /// Find the next data or hole.
    pub(crate) fn lseek(&self, ino: u64, offset: i64, whence: i32) -> Result<i64, Errno> {
        let node = self.node(ino)?;
        let data = node.data()?;
        let offset = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
        let found = match whence {
            libc::SEEK_DATA => data.next_data(offset),
            libc::SEEK_HOLE => data.next_hole(offset),
            _ => return Err(Errno::EINVAL),
        };
        found.and_then(|found| i64::try_from(found).ok()).ok_or(Errno::ENXIO)
    }

    /// Copy `len` bytes from one place to another and return how many there were.
    pub(crate) fn copy(&self, from: (u64, u64), to: (u64, u64), len: u64) -> Result<u64, Errno> {
        let (source, target) = (self.node(from.0)?, self.node(to.0)?);
        if from.0 == to.0 && from.1.abs_diff(to.1) < len {
            return Err(Errno::EINVAL);
        }
        let mut done = 0;
        while done < len {
            // A turn at a time, so that others get at the files between.
            match copy_turn(&source, &target, from.1 + done, to.1 + done, len - done) {
                Ok(0) => break,
                Ok(copied) => done += copied,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        if done > 0 {
            source.meta().accessed(SystemTime::now());
            target.modified(SystemTime::now(), false);
        }
        Ok(done)
    }
}

fn copy_turn(
    source: &Arc<Node>,
    target: &Arc<Node>,
    from: u64,
    to: u64,
    len: u64,
) -> Result<u64, Errno> {
    if Arc::ptr_eq(source, target) {
        return target.data_mut()?.copy(None, from, to, len);
    }
    if source.ino < target.ino {
        let source = source.data()?;
        target.data_mut()?.copy(Some(&source), from, to, len)
    } else {
        let mut target = target.data_mut()?;
        target.copy(Some(&*source.data()?), from, to, len)
    }
}

/// What opening with `flags` takes.
fn mask(flags: i32) -> u32 {
    /// Set by the kernel when a file is opened to be executed.
    const EXEC: i32 = 0x20;
    if flags & EXEC != 0 {
        return EXECUTE;
    }
    match flags & libc::O_ACCMODE {
        libc::O_RDONLY => READ,
        libc::O_WRONLY => WRITE,
        _ => READ | WRITE,
    }
}
