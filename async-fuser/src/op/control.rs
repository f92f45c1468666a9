use super::operations;
use crate::abi::*;
use crate::types::{FileHandle, INodeNo, InitFlags, RequestId, Version};
use crate::wire::init::InitRequest;

operations! {
    /// The connection begins.
    struct Init {
        /// The ABI the kernel speaks.
        version: Version,
        /// How far it reads ahead at most, in bytes.
        max_readahead: u32,
        /// What it offers.
        flags: InitFlags,
    }
    decode(req, args) {
        let InitRequest { version, max_readahead, flags } = InitRequest::decode(args.rest())?;
        Self { req, version, max_readahead, flags }
    }

    /// The caller of an earlier request no longer waits for it.
    struct Interrupt {
        /// That request.
        unique: RequestId,
    }
    decode(req, args) {
        let fixed: fuse_interrupt_in = args.fixed()?;
        Self { req, unique: RequestId(fixed.unique) }
    }

    /// The connection ends. Sent only for mounts on a block device.
    struct Destroy {}
    decode(req, args) { Self { req } }

    /// What the kernel's cache held, asked for by a notification.
    struct NotifyReply {
        /// The inode.
        ino: INodeNo,
        /// Where the data begins in the file.
        offset: u64,
        /// The data.
        data: &'a [u8],
    }
    decode(req, args) {
        let fixed: fuse_notify_retrieve_in = args.fixed()?;
        Self { req, ino: req.node(), offset: fixed.offset, data: args.data(fixed.size)? }
    }

    /// Map a range of a file into the guest's memory (virtiofs only).
    struct SetupMapping {
        /// The open file.
        fh: FileHandle,
        /// Where the range begins in the file.
        foffset: u64,
        /// How long it is.
        len: u64,
        /// `FUSE_SETUPMAPPING_FLAG_*`.
        flags: u64,
        /// Where it goes in the window.
        moffset: u64,
    }
    decode(req, args) {
        let fixed: fuse_setupmapping_in = args.fixed()?;
        Self {
            req,
            fh: FileHandle(fixed.fh),
            foffset: fixed.foffset,
            len: fixed.len,
            flags: fixed.flags,
            moffset: fixed.moffset,
        }
    }

    /// Undo mappings (virtiofs only).
    struct RemoveMapping {
        /// How many.
        count: u32,
    }
    decode(req, args) {
        let fixed: fuse_removemapping_in = args.fixed()?;
        // As bytes: behind its 4-byte struct a range is not aligned.
        let ranges: &[[u8; size_of::<fuse_removemapping_one>()]] = args.slice(fixed.count)?;
        Self { req, count: ranges.len() as u32 }
    }

    /// A character device in userspace begins. This crate serves none.
    struct CuseInit {
        /// The ABI the kernel speaks.
        version: Version,
    }
    decode(req, args) {
        let fixed: cuse_init_in = args.fixed()?;
        Self { req, version: Version(fixed.major, fixed.minor) }
    }
}
