use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::async_filesystem::Result;
use crate::types::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Generation, INodeNo,
    IoctlFlags, LockOwner, OpenAccMode, OpenFlags, PollEvents, PollFlags, PollHandle, RenameFlags,
    RequestId, StatxMask, TimeOrNow, WriteFlags,
};
use crate::wire::init::KernelConfig;

/// Makes a parameter from the field of its operation that it is named after.
///
/// | field | becomes |
/// |---|---|
/// | any | itself |
/// | [`INodeNo`], [`FileHandle`] and other ids | `u64` |
/// | flags | the number they are; [`OpenFlags`] also an [`OpenAccMode`] |
/// | `u32`, `u64`, `i32`, `i64` | other integers; `EOVERFLOW` if it does not fit |
/// | names and paths | `&str`, `String` (`EILSEQ` if it is not UTF-8), `&OsStr`, `OsString`, `&Path`, `PathBuf`, `&[u8]`, `Vec<u8>` |
/// | bytes | `Vec<u8>`, [`Bytes`], `Box<[u8]>`, `Arc<[u8]>`, `&str` and `String` (`EILSEQ`) |
/// | [`TimeOrNow`] | [`SystemTime`], [`Duration`] since 1970 (`EINVAL` if it is before) |
/// | `Option` of an id, number or time | `Option` of what that becomes |
///
/// # Examples
///
/// ```
/// use async_fuser::convert::FromField;
/// use async_fuser::{Errno, FileHandle, fuse_filesystem};
///
/// /// An open file by its place in a table.
/// struct Slot(usize);
///
/// impl FromField<FileHandle> for Slot {
///     fn from_field(fh: FileHandle) -> Result<Self, Errno> {
///         usize::try_from(fh.0).map(Self).map_err(|_| Errno::EBADF)
///     }
/// }
///
/// struct Files;
///
/// #[fuse_filesystem]
/// impl Files {
///     async fn read(&self, fh: Slot, offset: usize, size: usize) -> Result<Vec<u8>, Errno> {
///         Ok(format!("file {} from {offset}", fh.0).into_bytes()[..size.min(6)].to_vec())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the field is a `{F}`, which does not become a `{Self}`",
    label = "this is not made of a `{F}`",
    note = "what a field becomes is in the documentation of `async_fuser::convert::FromField`, \
            which can be implemented for a type of your own"
)]
pub trait FromField<F>: Sized {
    /// Makes it, or says what the operation fails with.
    fn from_field(field: F) -> Result<Self>;
}

#[diagnostic::do_not_recommend]
impl<T> FromField<T> for T {
    #[inline]
    fn from_field(field: T) -> Result<Self> {
        Ok(field)
    }
}

/// Conversions that say `from => into: how`, for the field and for an `Option` of it.
macro_rules! fields {
    ($($from:ty => $into:ty: |$field:ident| $how:expr;)*) => { $(
        #[diagnostic::do_not_recommend]
        impl FromField<$from> for $into {
            #[inline]
            fn from_field($field: $from) -> Result<Self> {
                $how
            }
        }

        #[diagnostic::do_not_recommend]
        impl FromField<Option<$from>> for Option<$into> {
            #[inline]
            fn from_field(field: Option<$from>) -> Result<Self> {
                field.map(FromField::from_field).transpose()
            }
        }
    )* };
}

fields! {
    INodeNo => u64: |ino| Ok(ino.0);
    FileHandle => u64: |fh| Ok(fh.0);
    LockOwner => u64: |owner| Ok(owner.0);
    PollHandle => u64: |kh| Ok(kh.0);
    RequestId => u64: |unique| Ok(unique.0);
    Generation => u64: |generation| Ok(generation.0);
    OpenFlags => i32: |flags| Ok(flags.0);
    OpenFlags => OpenAccMode: |flags| Ok(flags.acc_mode());
    i32 => OpenFlags: |flags| Ok(OpenFlags(flags));
    AccessFlags => i32: |flags| Ok(flags.bits());
    BsdFileFlags => u32: |flags| Ok(flags.bits());
    CopyFileRangeFlags => u64: |flags| Ok(flags.bits());
    IoctlFlags => u32: |flags| Ok(flags.bits());
    PollEvents => u32: |flags| Ok(flags.bits());
    PollFlags => u32: |flags| Ok(flags.bits());
    RenameFlags => u32: |flags| Ok(flags.bits());
    StatxMask => u32: |flags| Ok(flags.bits());
    WriteFlags => u32: |flags| Ok(flags.bits());
    TimeOrNow => SystemTime: |time| Ok(match time {
        TimeOrNow::SpecificTime(time) => time,
        TimeOrNow::Now => SystemTime::now(),
    });
    TimeOrNow => Duration: |time| SystemTime::from_field(time).and_then(Duration::from_field);
    SystemTime => Duration: |time| time.duration_since(UNIX_EPOCH).map_err(|_| Errno::EINVAL);
}

/// Integers that become each other where the value fits.
macro_rules! integers {
    ($($from:ty => $($into:ty)+;)*) => {
        fields! { $($($from => $into: |number| number.try_into().map_err(|_| Errno::EOVERFLOW);)+)* }
    };
}

integers! {
    u32 => u16 u64 usize i32 i64;
    u64 => u32 usize i64;
    i32 => u32 i64;
    i64 => u64 usize;
}

/// Conversions of what lies in the request, borrowed or copied.
macro_rules! borrowed {
    ($($from:ty { $($into:ty: |$field:ident| $how:expr;)+ })*) => { $($(
        #[diagnostic::do_not_recommend]
        impl<'a> FromField<&'a $from> for $into {
            #[inline]
            fn from_field($field: &'a $from) -> Result<Self> {
                $how
            }
        }
    )+)* };
}

borrowed! {
    OsStr {
        OsString: |name| Ok(name.to_owned());
        &'a str: |name| name.to_str().ok_or(Errno::EILSEQ);
        String: |name| <&str>::from_field(name).map(str::to_owned);
        &'a Path: |name| Ok(Path::new(name));
        PathBuf: |name| Ok(PathBuf::from(name));
        &'a [u8]: |name| Ok(name.as_bytes());
        Vec<u8>: |name| Ok(name.to_owned().into_vec());
    }
    Path {
        PathBuf: |path| Ok(path.to_owned());
        &'a str: |path| path.to_str().ok_or(Errno::EILSEQ);
        String: |path| <&str>::from_field(path).map(str::to_owned);
        &'a OsStr: |path| Ok(path.as_os_str());
        OsString: |path| Ok(path.as_os_str().to_owned());
        &'a [u8]: |path| Ok(path.as_os_str().as_bytes());
        Vec<u8>: |path| Ok(path.as_os_str().as_bytes().to_owned());
    }
    [u8] {
        Vec<u8>: |bytes| Ok(bytes.to_owned());
        Bytes: |bytes| Ok(Bytes::copy_from_slice(bytes));
        Box<[u8]>: |bytes| Ok(bytes.into());
        Arc<[u8]>: |bytes| Ok(bytes.into());
        &'a str: |bytes| std::str::from_utf8(bytes).map_err(|_| Errno::EILSEQ);
        String: |bytes| <&str>::from_field(bytes).map(str::to_owned);
    }
}

#[diagnostic::do_not_recommend]
impl<'a> FromField<&'a mut KernelConfig> for &'a KernelConfig {
    fn from_field(config: &'a mut KernelConfig) -> Result<Self> {
        Ok(config)
    }
}
