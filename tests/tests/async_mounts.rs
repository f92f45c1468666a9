//! The asynchronous engine on real mounts.

#![cfg(target_os = "linux")]

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use async_fuser::lib_async::*;
use async_fuser::*;
use tests::{Mountpoint, require_fuse};

struct Hello;

const TEXT: &[u8] = b"Hello!\n";
const TTL: Duration = Duration::from_secs(1);

fn attr(ino: INodeNo) -> FileAttr {
    let is_root = ino == INodeNo::ROOT;
    FileAttr {
        ino,
        size: if is_root { 0 } else { TEXT.len() as u64 },
        blocks: 1,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if is_root { FileType::Directory } else { FileType::RegularFile },
        perm: if is_root { 0o755 } else { 0o644 },
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl AsyncFilesystem for Hello {
    async fn lookup(&self, op: op::Lookup<'_>) -> Result<Entry> {
        if op.name != "hello" {
            return Err(Errno::ENOENT);
        }
        Ok(Entry::new(attr(INodeNo(2)), TTL))
    }

    async fn getattr(&self, op: op::Getattr<'_>) -> Result<Attr> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(Attr::new(attr(op.ino), TTL))
    }

    async fn read(&self, op: op::Read<'_>) -> Result<Data<'_>> {
        let start = TEXT.len().min(op.offset as usize);
        let end = TEXT.len().min(start + op.size as usize);
        Ok(Data::from(&TEXT[start..end]))
    }

    async fn readdir(&self, op: op::Readdir<'_>) -> Result<Listing> {
        let mut listing = Listing::new(&op);
        if op.offset == 0 {
            let _is_full = listing.add(INodeNo(2), 1, FileType::RegularFile, "hello");
        }
        Ok(listing)
    }
    async fn destroy(&mut self) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        println!("destroyed");
    }
}

fn on_both(test: impl AsyncFn()) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test());
}

#[test]
fn smoke() {
    require_fuse();
    on_both(async || {
        let mountpoint = Mountpoint::new();
        let session =
            spawn_mount_async(Hello, mountpoint.path(), &Config::default()).await.unwrap();
        let path = mountpoint.path().to_owned();
        tokio::task::spawn_blocking(move || {
            assert_eq!(fs::read(path.join("hello")).unwrap(), TEXT);
            let names: Vec<_> =
                fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(names, ["hello"]);
            assert!(fs::read(path.join("none")).is_err());
        })
        .await
        .unwrap();
        session.unmount().await.unwrap();
    });
}
