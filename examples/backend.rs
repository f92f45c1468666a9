//! Files whose contents come from elsewhere, and take their time.
//!
//! The filesystem is generic over a [`Backend`], whose methods are asynchronous: while one read
//! waits for it, all others go on. Run it with `--delay 2000` and read several files at once.
//!
//! What a backend will say is not known beforehand, not even its length: each file claims to be
//! empty, and is opened for direct I/O, so that the kernel asks for every read and believes the
//! answer instead of the size. A caller who is killed while it waits drops the read, and with it
//! whatever the backend was waiting for.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use async_fuser::{Errno, FileAttr, FileHandle, FileType, FopenFlags, INodeNo, fuse_filesystem};
use clap::Parser;
use examples::cli::{AsyncArgs, Example};

const EXAMPLE: Example = Example {
    name: "backend",
    try_it: &["ls -l {}", "cat {}/uptime", "head {}/*", "timeout 1 cat {}/loadavg"],
};

/// Files whose contents come from elsewhere, here from /proc, and take their time
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: AsyncArgs,

    /// Let the backend take so many milliseconds for every read
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay: u64,
}

/// Where contents come from.
trait Backend: Send + Sync + 'static {
    /// What there is.
    fn names(&self) -> &[&'static str];

    /// What one of them holds now, from `offset` on, as far as it fits.
    fn fetch(
        &self,
        name: &str,
        offset: u64,
        buf: &mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send;
}

/// The filesystem. The file of inode `n` is the backend's name number `n - 2`.
struct Served<B>(B);

#[fuse_filesystem(ttl = "1h")]
impl<B: Backend> Served<B> {
    async fn lookup(&self, name: &str) -> Result<FileAttr, Errno> {
        let at = self.0.names().iter().position(|there| *there == name).ok_or(Errno::ENOENT)?;
        self.attr(INodeNo(at as u64 + 2))
    }

    async fn getattr(&self, ino: INodeNo) -> Result<FileAttr, Errno> {
        self.attr(ino)
    }

    async fn open(&self) -> Result<(FileHandle, FopenFlags), Errno> {
        Ok((FileHandle(0), FopenFlags::FOPEN_DIRECT_IO))
    }

    async fn read(&self, ino: INodeNo, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.fetch(self.name(ino)?, offset, buf).await
    }

    async fn readdir(&self) -> Result<impl Iterator<Item = (INodeNo, FileType, &str)>, Errno> {
        let inodes = (2..).map(INodeNo);
        Ok(inodes.zip(self.0.names()).map(|(ino, name)| (ino, FileType::RegularFile, *name)))
    }
}

impl<B: Backend> Served<B> {
    fn name(&self, ino: INodeNo) -> Result<&'static str, Errno> {
        let at = ino.0.checked_sub(2).ok_or(Errno::EISDIR)?;
        usize::try_from(at).ok().and_then(|at| self.0.names().get(at)).copied().ok_or(Errno::ENOENT)
    }

    fn attr(&self, ino: INodeNo) -> Result<FileAttr, Errno> {
        if ino == INodeNo::ROOT {
            return Ok(FileAttr::new(ino, FileType::Directory, 0o555));
        }
        self.name(ino).map(|_| FileAttr::new(ino, FileType::RegularFile, 0o444))
    }
}

/// What the kernel says of the machine.
struct Proc {
    delay: Duration,
}

impl Backend for Proc {
    fn names(&self) -> &[&'static str] {
        &["loadavg", "meminfo", "uptime", "version"]
    }

    async fn fetch(&self, name: &str, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        tokio::time::sleep(self.delay).await;
        let bytes = tokio::fs::read(format!("/proc/{name}")).await?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let part = &bytes[start..bytes.len().min(start.saturating_add(buf.len()))];
        buf[..part.len()].copy_from_slice(part);
        Ok(part.len())
    }
}

fn main() -> ExitCode {
    let cli: Cli = EXAMPLE.parse();
    let backend = Proc { delay: Duration::from_millis(cli.delay) };
    EXAMPLE.run_async(&cli.args, Served(backend))
}
