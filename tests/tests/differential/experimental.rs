//! A program for fuser's experimental module: an asynchronous filesystem on the sync session.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::fuser;
use crate::common::End;
use fuser::experimental::{
    AsyncFilesystem, DirEntListBuilder, GetAttrResponse, LookupResponse, RequestContext, Result,
    TokioAdapter,
};
use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Generation, INodeNo, LockOwner, OpenFlags,
};

/// A directory with files whose content says who asked for what.
struct Mirror;

fn attr(ino: INodeNo) -> Result<FileAttr> {
    let kind = match ino.0 {
        1 => FileType::Directory,
        10..20 => FileType::RegularFile,
        _ => return Err(Errno::ENOENT),
    };
    Ok(FileAttr {
        ino,
        size: 1000,
        blocks: 2,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm: 0o755,
        nlink: 1,
        uid: 3,
        gid: 4,
        rdev: 0,
        blksize: 512,
        flags: 0,
    })
}

#[async_trait::async_trait]
impl AsyncFilesystem for Mirror {
    async fn lookup(
        &self,
        context: &RequestContext,
        parent: INodeNo,
        name: &OsStr,
    ) -> Result<LookupResponse> {
        if parent != INodeNo::ROOT || context.process_id() == 0 {
            return Err(Errno::EPERM);
        }
        let name = name.to_str().ok_or(Errno::EILSEQ)?;
        assert!(name != "panic", "as asked");
        let number: u64 = name.parse().map_err(|_| Errno::ENOENT)?;
        Ok(LookupResponse::new(Duration::ZERO, attr(INodeNo(number))?, Generation(0)))
    }

    async fn getattr(
        &self,
        context: &RequestContext,
        ino: INodeNo,
        _file_handle: Option<FileHandle>,
    ) -> Result<GetAttrResponse> {
        assert!(context.request_id().0 > 0);
        Ok(GetAttrResponse::new(Duration::ZERO, attr(ino)?))
    }

    async fn read(
        &self,
        context: &RequestContext,
        ino: INodeNo,
        _file_handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock: Option<LockOwner>,
        out_data: &mut Vec<u8>,
    ) -> Result<()> {
        if ino.0 == 19 {
            return Err(Errno::ENODATA);
        }
        let (user, group) = (context.user_id(), context.group_id());
        let text = format!("{ino} for {user}:{group}\n");
        let rest = text.as_bytes().get(offset as usize..).unwrap_or_default();
        out_data.extend_from_slice(&rest[..rest.len().min(size as usize)]);
        Ok(())
    }

    async fn readdir(
        &self,
        _context: &RequestContext,
        ino: INodeNo,
        _file_handle: FileHandle,
        offset: u64,
        mut builder: DirEntListBuilder<'_>,
    ) -> Result<()> {
        if ino != INodeNo::ROOT {
            return Err(Errno::ENOTDIR);
        }
        for number in 10 + offset..20 {
            let name = number.to_string();
            if builder.add(INodeNo(number), number - 9, FileType::RegularFile, name) {
                break;
            }
        }
        Ok(())
    }
}

/// Mounts; what it returns unmounts.
pub(crate) fn spawn(at: &Path) -> io::Result<End> {
    let session = fuser::spawn_mount(TokioAdapter::new(Mirror), at, &Config::default())?;
    Ok(Box::new(move || session.umount_and_join()))
}
