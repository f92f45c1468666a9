use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::types::{Errno, Request};

/// Why a request could not be decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The request is shorter than its operation needs.
    Short,
    /// A name has no terminating zero.
    Unterminated,
    /// The buffer is not aligned for the kernel's structs.
    Unaligned,
    /// A file offset or length is beyond what a signed 64-bit number holds.
    OutOfRange,
    /// The opcode has no row in the table.
    Unknown,
}

impl DecodeError {
    /// What the kernel is told: `ENOSYS` for an operation nobody knows (it stops asking), `EIO` for
    /// a request that is broken.
    pub(crate) fn errno(self) -> Errno {
        match self {
            Self::Unknown => Errno::ENOSYS,
            Self::OutOfRange => Errno::EINVAL,
            Self::Short | Self::Unterminated | Self::Unaligned => Errno::EIO,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "the request is shorter than its operation needs",
            Self::Unterminated => "a name in the request has no terminating zero",
            Self::Unaligned => "the request is not aligned to 8 bytes",
            Self::OutOfRange => "an offset in the request is negative",
            Self::Unknown => "the operation is unknown",
        })
    }
}

impl Error for DecodeError {}

/// What INIT settled about the layout of later requests.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Dialect {
    /// `FUSE_SETXATTR_EXT`: SETXATTR carries its longer struct.
    pub setxattr_ext: bool,
}

/// The arguments of one request: its header, a fixed struct, then names and data.
///
/// `/dev/fuse` sends them in one run of bytes; the ring sends them apart. Every operation reads
/// its fixed struct first, so one cursor serves both layouts:
///
/// ```text
/// /dev/fuse   [ in_header | fixed struct | name\0 | data ... ]
/// ring        [ in_header ] [ fixed struct, in 128 bytes ] [ name\0 | data ... ]
/// ```
#[derive(Clone, Debug)]
pub struct Args<'a> {
    req: &'a Request,
    dialect: Dialect,
    fixed: Option<&'a [u8]>,
    rest: &'a [u8],
}

impl<'a> Args<'a> {
    /// What one `read(2)` of `/dev/fuse` returned. `bytes` begin on a multiple of 8.
    pub fn contiguous(bytes: &'a [u8], dialect: Dialect) -> Result<Self, DecodeError> {
        let (req, rest) = Request::split(bytes).ok_or(if bytes.len() < size_of::<Request>() {
            DecodeError::Short
        } else {
            DecodeError::Unaligned
        })?;
        Ok(Self { req, dialect, fixed: None, rest })
    }

    /// What one ring entry holds: the header, the fixed struct's 128 bytes, and the payload.
    pub fn split(
        header: &'a [u8],
        fixed: &'a [u8],
        payload: &'a [u8],
        dialect: Dialect,
    ) -> Result<Self, DecodeError> {
        let args = Self::contiguous(header, dialect)?;
        Ok(Self { fixed: Some(fixed), rest: payload, ..args })
    }

    /// The request's header.
    pub fn req(&self) -> &'a Request {
        self.req
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The fixed struct, by value: no alignment to keep, nothing borrowed.
    pub(crate) fn fixed<T: FromBytes + KnownLayout + Immutable>(
        &mut self,
    ) -> Result<T, DecodeError> {
        let from = self.fixed.unwrap_or(self.rest);
        let (value, rest) = T::read_from_prefix(from).map_err(|_| DecodeError::Short)?;
        match &mut self.fixed {
            Some(fixed) => *fixed = rest,
            None => self.rest = rest,
        }
        Ok(value)
    }

    /// All that follows the header and the fixed structs read so far.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// A zero-terminated name.
    pub(crate) fn name(&mut self) -> Result<&'a OsStr, DecodeError> {
        let end = self.rest.iter().position(|&b| b == 0).ok_or(DecodeError::Unterminated)?;
        let (name, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        Ok(OsStr::from_bytes(name))
    }

    /// The next `len` bytes.
    pub(crate) fn data(&mut self, len: u32) -> Result<&'a [u8], DecodeError> {
        let (data, rest) = self.rest.split_at_checked(len as usize).ok_or(DecodeError::Short)?;
        self.rest = rest;
        Ok(data)
    }

    /// `count` structs, borrowed where they are.
    pub(crate) fn slice<T: FromBytes + KnownLayout + Immutable>(
        &mut self,
        count: u32,
    ) -> Result<&'a [T], DecodeError> {
        let (slice, rest) =
            <[T]>::ref_from_prefix_with_elems(self.rest, count as usize).map_err(|e| match e {
                zerocopy::CastError::Alignment(_) => DecodeError::Unaligned,
                _ => DecodeError::Short,
            })?;
        self.rest = rest;
        Ok(slice)
    }
}

/// A file offset or length: what the kernel sends is a `loff_t`, never negative.
pub(crate) fn offset(value: u64) -> Result<u64, DecodeError> {
    i64::try_from(value).map(|_| value).map_err(|_| DecodeError::OutOfRange)
}

#[cfg(test)]
pub(crate) mod tests {
    use zerocopy::IntoBytes;

    use super::*;

    /// Bytes aligned as the kernel's structs need, without `unsafe`.
    pub(crate) struct Aligned {
        words: Vec<u64>,
        len: usize,
    }

    impl Aligned {
        pub(crate) fn new(parts: &[&[u8]]) -> Self {
            let bytes = parts.concat();
            let mut words = vec![0; bytes.len().div_ceil(8)];
            words.as_mut_bytes()[..bytes.len()].copy_from_slice(&bytes);
            Self { words, len: bytes.len() }
        }

        pub(crate) fn bytes(&self) -> &[u8] {
            &self.words.as_bytes()[..self.len]
        }
    }

    #[test]
    fn a_header_must_be_whole_and_aligned() {
        let bytes = Aligned::new(&[&[0; 48]]);
        let contiguous = |bytes| Args::contiguous(bytes, Dialect::default()).map(|_| ());
        assert_eq!(contiguous(&bytes.bytes()[..40]), Ok(()));
        assert_eq!(contiguous(&bytes.bytes()[..39]), Err(DecodeError::Short));
        assert_eq!(contiguous(&bytes.bytes()[1..]), Err(DecodeError::Unaligned));
        assert_eq!(contiguous(&[]), Err(DecodeError::Short));
    }

    #[test]
    fn a_name_ends_at_its_zero() {
        let bytes = Aligned::new(&[&[0; 40], b"one\0two\0three"]);
        let mut args = Args::contiguous(bytes.bytes(), Dialect::default()).unwrap();
        assert_eq!(args.name().unwrap(), "one");
        assert_eq!(args.name().unwrap(), "two");
        assert_eq!(args.name(), Err(DecodeError::Unterminated));
    }

    #[test]
    fn data_never_reaches_past_the_end() {
        let bytes = Aligned::new(&[&[0; 40], b"four"]);
        let mut args = Args::contiguous(bytes.bytes(), Dialect::default()).unwrap();
        assert_eq!(args.data(5), Err(DecodeError::Short));
        assert_eq!(args.data(u32::MAX), Err(DecodeError::Short));
        assert_eq!(args.data(4), Ok(&b"four"[..]));
    }

    #[test]
    fn a_hostile_count_is_an_error() {
        let bytes = Aligned::new(&[&[0; 40], &[0; 32]]);
        let args = Args::contiguous(bytes.bytes(), Dialect::default()).unwrap();
        assert_eq!(args.clone().slice::<[u64; 2]>(2).unwrap().len(), 2);
        assert_eq!(args.clone().slice::<[u64; 2]>(3), Err(DecodeError::Short));
        assert_eq!(args.clone().slice::<[u64; 2]>(u32::MAX), Err(DecodeError::Short));
    }

    #[test]
    fn offsets_are_not_negative() {
        assert_eq!(offset(i64::MAX as u64), Ok(i64::MAX as u64));
        assert_eq!(offset(1 << 63), Err(DecodeError::OutOfRange));
    }
}
