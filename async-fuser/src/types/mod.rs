//! The words both sides use: numbers the kernel hands out, attributes, errors and flags.
//!
//! Nothing here does I/O. What the public types have in common with the kernel's structs is
//! converted here too, for the crate alone.

pub(crate) mod attr;
pub(crate) mod errno;
pub(crate) mod flags;
pub(crate) mod ids;
pub(crate) mod request;

pub(crate) use attr::time_from_wire;
pub use attr::{FileAttr, FileType, Owner, StatxAttr, TimeOrNow};
pub use errno::Errno;
pub use flags::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, FopenFlags, InitFlags, IoctlFlags, OpenAccMode,
    OpenFlags, PollEvents, PollFlags, RenameFlags, StatxAttributes, StatxMask, WriteFlags,
};
pub use ids::{
    FileHandle, ForgetOne, Generation, INodeNo, LockOwner, PollHandle, RequestId, Version,
};
pub use request::Request;

/// Numbers of the FUSE protocol that a filesystem may need.
pub mod consts {
    use crate::abi;

    /// Bit of the lock flags that tells a `flock(2)` lock from a POSIX one.
    pub const FUSE_LK_FLOCK: u32 = abi::FUSE_LK_FLOCK;

    /// How many buffers, in and out together, an ioctl may ask the kernel to copy on its retry.
    ///
    /// With more of them the kernel fails the `ioctl(2)` with `ENOMEM`.
    pub const FUSE_IOCTL_MAX_IOV: u32 = abi::FUSE_IOCTL_MAX_IOV as u32;

    /// The smallest buffer the kernel accepts for reading a request.
    ///
    /// A read from the FUSE device with less room than this fails with `EINVAL`.
    pub const FUSE_MIN_READ_BUFFER: usize = abi::FUSE_MIN_READ_BUFFER;
}
