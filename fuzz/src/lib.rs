//! What is fuzzed: each function takes hostile bytes, and panics if the library does wrong.
//!
//! The fuzz targets call them, and so does a plain `cargo test` of the package `tests`, over the
//! corpus beside this file.

pub mod requests;
mod session;

use std::fmt::Debug;

use async_fuser::op::{Args, Control, DecodeError, Dialect, Operation};

use requests::HEADER;
pub use session::session;

/// A request as `/dev/fuse` sends it.
///
/// ```text
/// [ options ] [ header | fixed struct | names and data ]
/// ```
///
/// Cut apart into the ring's three pieces, it must become the same operation.
pub fn decode_contiguous(input: &[u8]) {
    let Some((options, request)) = Options::of(input) else { return };
    let bytes = Aligned::new(request, options.skew);
    let result = Args::contiguous(bytes.bytes(), options.dialect)
        .and_then(|args| outcome(Operation::decode(args)));
    if options.skew != 0 {
        assert!(result.is_err(), "a crooked buffer was decoded: {result:?}");
        return;
    }
    let Some((header, body)) = request.split_at_checked(HEADER) else {
        assert_eq!(result, Err(DecodeError::Short));
        return;
    };
    let Some(fixed) = requests::fixed_len(request, options.dialect.setxattr_ext) else {
        assert_eq!(result, Err(DecodeError::Unknown));
        return;
    };
    let Some((fixed, rest)) = body.split_at_checked(fixed) else {
        assert_eq!(result, Err(DecodeError::Short));
        return;
    };
    let (header, rest) = (Aligned::new(header, 0), Aligned::new(rest, 0));
    let split = Args::split(header.bytes(), fixed, rest.bytes(), options.dialect)
        .and_then(|args| outcome(Operation::decode(args)));
    assert_eq!(result, split, "the two layouts differ");
}

/// A request as a ring entry holds it.
///
/// ```text
/// [ options ] [ length of the fixed struct ] [ header ] [ fixed struct ] [ names and data ]
/// ```
///
/// In one piece, it must become the same operation.
pub fn decode_split(input: &[u8]) {
    let Some((options, pieces)) = Options::of(input) else { return };
    let Some((&len, pieces)) = pieces.split_first() else { return };
    let (header, pieces) = pieces.split_at(pieces.len().min(HEADER));
    let (fixed, rest) = pieces.split_at(pieces.len().min(len.into()));
    let split = {
        let (header, rest) = (Aligned::new(header, 0), Aligned::new(rest, options.skew));
        Args::split(header.bytes(), fixed, rest.bytes(), options.dialect)
            .and_then(|args| outcome(Operation::decode(args)))
    };
    if header.len() < HEADER {
        assert_eq!(split, Err(DecodeError::Short));
        return;
    }
    let Some(needed) = requests::fixed_len(header, options.dialect.setxattr_ext) else {
        assert_eq!(split, Err(DecodeError::Unknown));
        return;
    };
    let Some(fixed) = fixed.get(..needed) else {
        assert_eq!(split, Err(DecodeError::Short));
        return;
    };
    // Only what is borrowed as structs needs to be aligned.
    if split == Err(DecodeError::Unaligned) {
        assert_ne!(options.skew, 0);
        return;
    }
    let bytes = Aligned::new(&[header, fixed, rest].concat(), 0);
    let contiguous = Args::contiguous(bytes.bytes(), options.dialect)
        .and_then(|args| outcome(Operation::decode(args)));
    assert_eq!(split, contiguous, "the two layouts differ");
}

/// A message that concerns the session, in the layout of [`decode_split`] or of
/// [`decode_contiguous`].
pub fn control(input: &[u8]) {
    let Some((options, pieces)) = Options::of(input) else { return };
    let result = if options.split {
        let Some((&len, pieces)) = pieces.split_first() else { return };
        let (header, pieces) = pieces.split_at(pieces.len().min(HEADER));
        let (fixed, rest) = pieces.split_at(pieces.len().min(len.into()));
        let (header, rest) = (Aligned::new(header, 0), Aligned::new(rest, options.skew));
        Args::split(header.bytes(), fixed, rest.bytes(), options.dialect).map(both)
    } else {
        let bytes = Aligned::new(pieces, options.skew);
        Args::contiguous(bytes.bytes(), options.dialect).map(both)
    };
    if let Ok((operation, control)) = result {
        let unknown = Err(DecodeError::Unknown);
        assert!(operation == unknown || control == unknown, "both: {operation:?}, {control:?}");
    }
}

fn both(args: Args<'_>) -> (Result<String, DecodeError>, Result<String, DecodeError>) {
    (outcome(Operation::decode(args.clone())), outcome(Control::decode(args)))
}

/// What was decoded, as text: every field is looked at.
fn outcome<T: Debug>(decoded: Result<T, DecodeError>) -> Result<String, DecodeError> {
    decoded.map(|decoded| format!("{decoded:?}"))
}

/// The first byte of an input.
#[derive(Clone, Copy)]
struct Options {
    dialect: Dialect,
    /// Three pieces, where the target takes both.
    split: bool,
    /// How far from where it should be the buffer begins.
    skew: usize,
}

impl Options {
    fn of(input: &[u8]) -> Option<(Self, &[u8])> {
        let (&first, rest) = input.split_first()?;
        let dialect = Dialect { setxattr_ext: first & 1 != 0 };
        let options = Self { dialect, split: first & 2 != 0, skew: usize::from(first >> 2 & 7) };
        Some((options, rest))
    }
}

/// A copy of bytes in a buffer of its own, so that reading beyond them is noticed.
struct Aligned {
    buffer: Vec<u8>,
    start: usize,
}

impl Aligned {
    /// `skew` bytes behind a multiple of 8.
    fn new(bytes: &[u8], skew: usize) -> Self {
        let mut buffer: Vec<u8> = Vec::with_capacity(bytes.len() + 16);
        let start = buffer.as_ptr().align_offset(8) + skew;
        buffer.resize(start, 0xaa);
        buffer.extend_from_slice(bytes);
        Self { buffer, start }
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}
