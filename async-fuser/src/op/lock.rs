use super::{Opcode, operations};
use crate::abi::*;
use crate::types::{FileHandle, INodeNo, LockOwner};

operations! {
    /// Ask which lock stands in the way of another: `F_GETLK`.
    struct Getlk {
        /// The inode.
        ino: INodeNo,
        /// The open file.
        fh: FileHandle,
        /// Who asks.
        lock_owner: LockOwner,
        /// The range's first byte.
        start: u64,
        /// The range's last byte.
        end: u64,
        /// `F_RDLCK` or `F_WRLCK`.
        typ: i32,
        /// The caller's process.
        pid: u32,
    }
    decode(req, args) {
        let fixed: fuse_lk_in = args.fixed()?;
        Self {
            req,
            ino: req.node(),
            fh: FileHandle(fixed.fh),
            lock_owner: LockOwner(fixed.owner),
            start: fixed.lk.start,
            end: fixed.lk.end,
            typ: fixed.lk.r#type as i32,
            pid: fixed.lk.pid,
        }
    }

    /// Take or give back a lock: `F_SETLK`, `F_SETLKW`, `flock(2)`.
    struct Setlk {
        /// The inode.
        ino: INodeNo,
        /// The open file.
        fh: FileHandle,
        /// Whose lock it is.
        lock_owner: LockOwner,
        /// The range's first byte.
        start: u64,
        /// The range's last byte.
        end: u64,
        /// `F_RDLCK`, `F_WRLCK` or `F_UNLCK`.
        typ: i32,
        /// The caller's process.
        pid: u32,
        /// Wait until the lock is free.
        sleep: bool,
        /// It is a `flock(2)`: of the open file, not of the process, and always of all of it.
        flock: bool,
    }
    decode(req, args) {
        let fixed: fuse_lk_in = args.fixed()?;
        Self {
            req,
            ino: req.node(),
            fh: FileHandle(fixed.fh),
            lock_owner: LockOwner(fixed.owner),
            start: fixed.lk.start,
            end: fixed.lk.end,
            typ: fixed.lk.r#type as i32,
            pid: fixed.lk.pid,
            sleep: req.opcode() == Opcode::SETLKW.0,
            flock: fixed.lk_flags & FUSE_LK_FLOCK != 0,
        }
    }
}
