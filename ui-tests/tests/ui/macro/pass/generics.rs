//! Types, lifetimes, constants and where clauses of the block are the filesystem's.

use std::fmt::Debug;
use std::future::Future;
use std::rc::Rc;

use async_fuser::{AsyncFilesystem, Errno, fuse_filesystem};

trait Backend: Send + Sync + 'static {
    fn fetch(&self, ino: u64) -> impl Future<Output = Result<Vec<u8>, Errno>> + Send;
}

struct Remote<B>(B);

#[fuse_filesystem]
impl<B: Backend> Remote<B>
where
    B: Debug,
{
    async fn read(&self, ino: u64) -> Result<Vec<u8>, Errno> {
        self.0.fetch(ino).await
    }
}

/// What it holds need not be named `Send` or `Sync`: it is a filesystem if it is both.
struct Holding<T>(T);

#[fuse_filesystem]
impl<T> Holding<T> {
    async fn unlink(&self) -> Result<(), Errno> {
        let _ = &self.0;
        Ok(())
    }
}

struct Borrowing<'a>(&'a str);

#[fuse_filesystem]
impl<'a> Borrowing<'a> {
    async fn read(&self) -> Result<&'a str, Errno> {
        Ok(self.0)
    }
}

struct Sized<const N: usize>([u8; N]);

#[fuse_filesystem]
impl<const N: usize> Sized<N> {
    const LEN: usize = N;

    async fn read(&self, offset: usize) -> Result<&[u8], Errno> {
        self.0.get(offset.min(Self::LEN)..).ok_or(Errno::EINVAL)
    }
}

struct Of<T>(T);

#[fuse_filesystem]
impl Of<u32> {
    async fn read(&self) -> Result<String, Errno> {
        Ok(self.0.to_string())
    }
}

#[fuse_filesystem]
impl Of<String> {
    async fn read(&self) -> Result<&String, Errno> {
        Ok(&self.0)
    }
}

fn is_filesystem<T: AsyncFilesystem>(_: &T) {}

fn main() {
    is_filesystem(&Holding(1));
    is_filesystem(&Borrowing("static"));
    is_filesystem(&Sized([0; 3]));
    is_filesystem(&Of(1u32));
    is_filesystem(&Of(String::new()));
    // It is a type like any other, and no filesystem.
    let _not_send = Holding(Rc::new(1));
}
