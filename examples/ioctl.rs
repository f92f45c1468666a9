//! A file whose size is asked for and set by `ioctl(2)`, and a client that does so.
//!
//! An ioctl is a number and, through a pointer, an argument. The number itself says which way the argument
//! goes and how long it is: `_IOR('E', 0, size_t)` brings eight bytes back, `_IOW('E', 1, size_t)` hands
//! eight bytes over. The kernel relies on that ("restricted" ioctls): it copies that much and no more
//! between the caller and the filesystem, which gets `in_data` and answers at most `out_size` bytes.
//! A caller compiled for 32 bits has a shorter `size_t`, so another number, and gets `ENOTTY` here.
//!
//! The size changes behind the kernel's back, so nothing may be cached: attributes live for zero seconds,
//! and `FOPEN_DIRECT_IO` sends every read and write to the filesystem.
//!
//! The client is this program too, called with `--client FILE get` or `--client FILE set N`.

// A wrong ioctl number or argument type could corrupt the caller's memory, so the client's two calls are unsafe.
#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, IoctlFlags, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry,
    ReplyIoctl, ReplyOpen, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use clap::Parser;
use examples::attr;
use examples::cli::{Args, Example};

const EXAMPLE: Example = Example {
    name: "ioctl",
    try_it: &[
        "ioctl --client {}/elastic set 4096    # the same program as this one",
        "ioctl --client {}/elastic get",
        "ls -l {}",
    ],
};

/// A file whose size is asked for and set by ioctl(2)
#[derive(Parser)]
struct Cli {
    /// Mount nothing: get or set the size of FILE in a mount of this example
    #[arg(long, num_args = 2..=3, value_names = ["FILE", "get|set", "N"], exclusive = true)]
    client: Option<Vec<String>>,

    #[command(flatten)]
    mount: Args,
}

fn main() -> ExitCode {
    let cli: Cli = EXAMPLE.parse();
    let Some(call) = cli.client else {
        return EXAMPLE.run(&cli.mount, Elastic::default());
    };
    match client(&call) {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => EXAMPLE.fail(format!("{}: {error}", call[0])),
    }
}

const ROOT: INodeNo = INodeNo::ROOT;
const FILE: INodeNo = INodeNo(2);
const NAME: &str = "elastic";
const LIMIT: usize = 1 << 20;
const TTL: Duration = Duration::ZERO;

// The numbers as the filesystem receives them ...
const GET_SIZE: u32 = nix::request_code_read!(b'E', 0, size_of::<usize>()) as u32;
const SET_SIZE: u32 = nix::request_code_write!(b'E', 1, size_of::<usize>()) as u32;

// ... and the same as calls.
nix::ioctl_read! {
    /// Ask for the size of a file.
    get_size, b'E', 0, usize
}
nix::ioctl_write_ptr! {
    /// Set the size of a file.
    set_size, b'E', 1, usize
}

#[derive(Default)]
struct Elastic {
    content: Mutex<Vec<u8>>,
}

impl Elastic {
    fn content(&self) -> MutexGuard<'_, Vec<u8>> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attr(&self, ino: INodeNo) -> Option<FileAttr> {
        match ino {
            ROOT => Some(attr(ROOT, FileType::Directory, 0o755, 0)),
            FILE => Some(attr(FILE, FileType::RegularFile, 0o644, self.content().len() as u64)),
            _ => None,
        }
    }

    fn resize(&self, size: u64) -> Result<(), Errno> {
        let size = usize::try_from(size).ok().filter(|size| *size <= LIMIT).ok_or(Errno::EFBIG)?;
        self.content().resize(size, 0);
        Ok(())
    }
}

impl Filesystem for Elastic {
    fn ioctl(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: IoctlFlags,
        cmd: u32,
        in_data: &[u8],
        out_size: u32,
        reply: ReplyIoctl,
    ) {
        match (ino, cmd) {
            (FILE, GET_SIZE) if out_size as usize >= size_of::<usize>() => {
                let size = self.content().len();
                reply.ioctl(0, &size.to_ne_bytes());
            }
            (FILE, SET_SIZE) => {
                let Ok(size) = in_data.try_into().map(usize::from_ne_bytes) else {
                    return reply.error(Errno::EINVAL);
                };
                match self.resize(size as u64) {
                    Ok(()) => reply.ioctl(0, &[]),
                    Err(errno) => reply.error(errno),
                }
            }
            // What a device says of an ioctl it does not know.
            _ => reply.error(Errno::ENOTTY),
        }
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.attr(FILE) {
            Some(attr) if parent == ROOT && name == NAME => reply.entry(&TTL, &attr, Generation(0)),
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.attr(ino) {
            Some(attr) => reply.attr(&TTL, &attr),
            None => reply.error(Errno::ENOENT),
        }
    }

    /// `truncate(2)`, also on behalf of `O_TRUNC`. There is nothing else to change.
    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let (FILE, Some(size)) = (ino, size) else {
            return reply.error(Errno::EPERM);
        };
        match self.resize(size).and_then(|()| self.attr(FILE).ok_or(Errno::ENOENT)) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _req: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        reply.data(examples::part(&self.content(), offset, size));
    }

    fn write(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let Some(end) = offset.checked_add(data.len() as u64).filter(|end| *end <= LIMIT as u64)
        else {
            return reply.error(Errno::EFBIG);
        };
        let (start, end) = (offset as usize, end as usize);
        let mut content = self.content();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[start..end].copy_from_slice(data);
        reply.written(data.len() as u32);
    }

    fn readdir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let entries = [
            (ROOT, FileType::Directory, "."),
            (ROOT, FileType::Directory, ".."),
            (FILE, FileType::RegularFile, NAME),
        ];
        for ((ino, kind, name), next) in
            entries.into_iter().zip(1..).filter(|(_, next)| *next > offset)
        {
            if reply.add(ino, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

/// Carry out `FILE get` or `FILE set N` and say what became of it.
fn client(call: &[String]) -> io::Result<String> {
    let words: Vec<&str> = call.iter().map(String::as_str).collect();
    match words[..] {
        [path, "get"] => {
            let file = File::open(path)?;
            let mut size = 0;
            // SAFETY: the descriptor is open and `size` is the `size_t` that the number promises to the kernel.
            unsafe { get_size(file.as_raw_fd(), &mut size) }?;
            Ok(format!("{size} bytes"))
        }
        [path, "set", size] => {
            let size =
                size.parse().map_err(|_| io::Error::other(format!("{size} is not a size")))?;
            let file = File::open(path)?;
            // SAFETY: the descriptor is open and `size` is the `size_t` that the number promises to the kernel.
            unsafe { set_size(file.as_raw_fd(), &size) }?;
            Ok(format!("set to {size} bytes"))
        }
        _ => Err(io::Error::other("say `get`, or `set` and a number of bytes")),
    }
}
