use std::fmt;
use std::io;
use std::mem;
use std::ops::{Deref, DerefMut, Range};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use bytes::Bytes;
use nix::errno::Errno as SysErrno;
use nix::sys::uio::pread;

use crate::op;
use crate::spare;

/// Bytes that answer an operation: owned, shared, borrowed from the filesystem, or a range of a
/// file.
///
/// They stay where they are until the kernel takes them. Anything that is or becomes bytes
/// converts into it: `Vec<u8>`, [`Bytes`], `Arc<[u8]>`, `&[u8]`, `String`, a [`ReadBuffer`].
///
/// # Examples
///
/// ```
/// use async_fuser::lib_async::Data;
///
/// let owned = Data::from(vec![1, 2, 3]);
/// let borrowed = Data::from(&[1, 2, 3]);
/// assert_eq!(owned.len(), borrowed.len());
/// ```
#[derive(Debug)]
pub struct Data<'a>(Kind<'a>);

enum Kind<'a> {
    Borrowed(&'a [u8]),
    Owned(Vec<u8>),
    Shared(Arc<[u8]>),
    Bytes(Bytes),
    Buffer(ReadBuffer, usize),
    File(FileRange<'a>),
}

/// What of a file is read when the answer is sent.
#[derive(Debug)]
struct FileRange<'a> {
    file: Source<'a>,
    range: Range<u64>,
}

#[derive(Debug)]
enum Source<'a> {
    Borrowed(BorrowedFd<'a>),
    Owned(OwnedFd),
    Shared(Arc<OwnedFd>),
}

impl<'a> Data<'a> {
    /// A range of a file, which is read straight into the answer: less where the file ends before.
    pub fn from_file(file: BorrowedFd<'a>, range: Range<u64>) -> Self {
        Self(Kind::File(FileRange { file: Source::Borrowed(file), range }))
    }

    /// As [`from_file`](Self::from_file), of a file that lives as long as the answer.
    pub fn from_owned_file(file: impl Into<OwnedFd>, range: Range<u64>) -> Self {
        Self(Kind::File(FileRange { file: Source::Owned(file.into()), range }))
    }

    /// As [`from_file`](Self::from_file), of a file that others use too.
    pub fn from_shared_file(file: Arc<OwnedFd>, range: Range<u64>) -> Self {
        Self(Kind::File(FileRange { file: Source::Shared(file), range }))
    }

    /// How many bytes; of a range of a file, how many at most.
    pub fn len(&self) -> usize {
        match &self.0 {
            Kind::File(FileRange { range, .. }) => {
                usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX)
            }
            _ => self.in_memory().len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `size` bytes from `offset` on; fewer where they end before.
    pub(crate) fn part(self, offset: u64, size: u32) -> Self {
        let len = self.len();
        let start = usize::try_from(offset).map_or(len, |offset| offset.min(len));
        let end = start.saturating_add(size as usize).min(len);
        Self(match self.0 {
            Kind::Borrowed(bytes) => Kind::Borrowed(&bytes[start..end]),
            Kind::Owned(bytes) => Kind::Bytes(Bytes::from(bytes).slice(start..end)),
            Kind::Shared(bytes) => Kind::Bytes(Bytes::copy_from_slice(&bytes[start..end])),
            Kind::Bytes(bytes) => Kind::Bytes(bytes.slice(start..end)),
            Kind::Buffer(buffer, _) => Kind::Bytes(Bytes::copy_from_slice(&buffer[start..end])),
            Kind::File(FileRange { file, range }) => {
                let start = range.start.saturating_add(offset).min(range.end);
                let end = start.saturating_add(size.into()).min(range.end);
                Kind::File(FileRange { file, range: start..end })
            }
        })
    }

    /// The bytes, of which a range of a file is read now: at most `room` of them.
    #[inline]
    pub(crate) fn load(&mut self, room: u32) -> io::Result<&[u8]> {
        if let Kind::File(FileRange { file, range }) = &self.0 {
            let len = range.end.saturating_sub(range.start).min(room.into()) as usize;
            let mut buffer = ReadBuffer::with_room(len);
            let len = read_whole(file.as_fd(), range.start, &mut buffer)?;
            self.0 = Kind::Buffer(buffer, len);
        }
        Ok(self.in_memory())
    }

    #[inline]
    fn in_memory(&self) -> &[u8] {
        match &self.0 {
            Kind::Borrowed(bytes) => bytes,
            Kind::Owned(bytes) => bytes,
            Kind::Shared(bytes) => bytes,
            Kind::Bytes(bytes) => bytes,
            Kind::Buffer(buffer, len) => &buffer[..*len],
            Kind::File(_) => &[],
        }
    }
}

impl Source<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Borrowed(file) => file.as_fd(),
            Self::Owned(file) => file.as_fd(),
            Self::Shared(file) => file.as_fd(),
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn read_whole(file: BorrowedFd<'_>, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        let at = offset
            .checked_add(done as u64)
            .and_then(|at| i64::try_from(at).ok())
            .ok_or(io::ErrorKind::InvalidInput)?;
        match pread(file, &mut buffer[done..], at) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(SysErrno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(done)
}

impl fmt::Debug for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(range) => range.fmt(f),
            Self::Borrowed(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Owned(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Shared(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Buffer(_, len) => write!(f, "{len} bytes"),
        }
    }
}

/// No bytes: of a read, the end of the file.
impl Default for Data<'_> {
    fn default() -> Self {
        Self(Kind::Borrowed(&[]))
    }
}

impl<'a> From<&'a [u8]> for Data<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(Kind::Borrowed(bytes))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Data<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self(Kind::Borrowed(bytes))
    }
}

impl<'a> From<&'a Vec<u8>> for Data<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self(Kind::Borrowed(bytes))
    }
}

impl<'a> From<&'a str> for Data<'a> {
    fn from(text: &'a str) -> Self {
        Self(Kind::Borrowed(text.as_bytes()))
    }
}

impl<'a> From<&'a String> for Data<'a> {
    fn from(text: &'a String) -> Self {
        Self(Kind::Borrowed(text.as_bytes()))
    }
}

impl From<Vec<u8>> for Data<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Kind::Owned(bytes))
    }
}

impl From<Box<[u8]>> for Data<'_> {
    fn from(bytes: Box<[u8]>) -> Self {
        Self(Kind::Owned(bytes.into()))
    }
}

impl From<String> for Data<'_> {
    fn from(text: String) -> Self {
        Self(Kind::Owned(text.into_bytes()))
    }
}

impl From<Arc<[u8]>> for Data<'_> {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self(Kind::Shared(bytes))
    }
}

impl From<Bytes> for Data<'_> {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Bytes(bytes))
    }
}

/// The whole of what was asked for.
impl From<ReadBuffer> for Data<'_> {
    fn from(buffer: ReadBuffer) -> Self {
        let len = buffer.len();
        buffer.filled(len)
    }
}

/// Memory of the engine for the answer to a read: as many bytes as the caller has room for, to be
/// written into and handed back without a copy.
///
/// It is used again for later answers, so that serving allocates nothing. What it holds at first
/// are bytes of earlier answers: count only what was written in [`filled`](Self::filled).
///
/// # Examples
///
/// ```
/// use async_fuser::lib_async::{Data, ReadBuffer, Result};
/// use async_fuser::op;
///
/// async fn read(op: op::Read<'_>) -> Result<Data<'static>> {
///     let mut buffer = ReadBuffer::new(&op);
///     let len = buffer.len().min(3);
///     buffer[..len].fill(b'x');
///     Ok(buffer.filled(len))
/// }
/// ```
pub struct ReadBuffer {
    bytes: Vec<u8>,
    len: usize,
}

impl ReadBuffer {
    /// Memory for the answer to this read.
    pub fn new(op: &op::Read<'_>) -> Self {
        Self::with_room(op.size as usize)
    }

    pub(crate) fn with_room(len: usize) -> Self {
        Self { bytes: spare::take_filled(len), len }
    }

    /// The answer: the first `len` bytes.
    ///
    /// # Panics
    ///
    /// If the buffer is not that long.
    pub fn filled<'a>(self, len: usize) -> Data<'a> {
        assert!(len <= self.len, "{len} bytes cannot be filled of {}", self.len);
        Data(Kind::Buffer(self, len))
    }
}

impl Deref for ReadBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl DerefMut for ReadBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        spare::give_filled(mem::take(&mut self.bytes));
    }
}

impl fmt::Debug for ReadBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadBuffer").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn bytes(mut data: Data<'_>) -> Vec<u8> {
        data.load(u32::MAX).unwrap().to_vec()
    }

    #[test]
    fn bytes_of_every_kind_arrive() {
        let vector = b"abc".to_vec();
        let shared: Arc<[u8]> = Arc::from(&b"abc"[..]);
        let mut buffer = ReadBuffer::with_room(8);
        buffer[..3].copy_from_slice(b"abc");
        let all = [
            Data::from(&b"abc"[..]),
            Data::from(b"abc"),
            Data::from(&vector),
            Data::from(vector.clone()),
            Data::from(shared),
            Data::from(Bytes::from_static(b"abc")),
            Data::from("abc"),
            Data::from("abc".to_owned()),
            Data::from(vector.clone().into_boxed_slice()),
            buffer.filled(3),
        ];
        for data in all {
            assert_eq!((data.len(), data.is_empty()), (3, false), "{data:?}");
            assert_eq!(bytes(data), b"abc");
        }
        assert!(Data::default().is_empty());
    }

    #[test]
    fn a_range_of_a_file_is_read_when_it_is_sent_and_ends_with_the_file() {
        let path = std::env::temp_dir().join(format!("data-{}", std::process::id()));
        let mut file = std::fs::File::create_new(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(b"0123456789").unwrap();
        assert_eq!(bytes(Data::from_file(file.as_fd(), 2..5)), b"234");
        assert_eq!(bytes(Data::from_file(file.as_fd(), 8..100)), b"89");
        assert_eq!(bytes(Data::from_file(file.as_fd(), 50..60)), b"");
        #[allow(clippy::reversed_empty_ranges, reason = "somebody may have one")]
        let reversed = 5..2;
        assert_eq!(bytes(Data::from_file(file.as_fd(), reversed)), b"");
        let shared = Arc::new(OwnedFd::from(file.try_clone().unwrap()));
        assert_eq!(Data::from_shared_file(shared, 0..10).load(4).unwrap(), b"0123");
        assert_eq!(bytes(Data::from_owned_file(file, 0..2)), b"01");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let directory = std::fs::File::open("/").unwrap();
        let error = Data::from_owned_file(directory, 0..4).load(4).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EISDIR));
    }

    #[test]
    fn a_buffer_is_used_again() {
        let first = ReadBuffer::with_room(4096);
        let memory = first.as_ptr();
        drop(first);
        let second = ReadBuffer::with_room(100);
        assert_eq!((second.as_ptr(), second.len()), (memory, 100));
    }

    #[test]
    #[should_panic(expected = "cannot be filled")]
    fn a_buffer_cannot_be_filled_beyond_its_end() {
        let _data = ReadBuffer::with_room(4).filled(5);
    }
}
