//! System calls that nix has no safe function for, with its kind of result.

use std::ffi::{CString, c_int};
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use nix::Result;
use nix::errno::Errno;

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("a path without NUL")
}

fn c_name(name: &str) -> CString {
    CString::new(name).expect("a name without NUL")
}

pub(crate) fn setxattr(path: &Path, name: &str, value: &[u8], flags: c_int) -> Result<()> {
    let (path, name) = (c_path(path), c_name(name));
    let (data, len) = (value.as_ptr().cast(), value.len());
    // SAFETY: strings and value live through the call, and `len` is the value's.
    let done = unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), data, len, flags) };
    Errno::result(done).map(drop)
}

/// The value, into a buffer of this size; no value and just the size for 0.
pub(crate) fn getxattr(path: &Path, name: &str, size: usize) -> Result<(usize, Vec<u8>)> {
    let (path, name, mut value) = (c_path(path), c_name(name), vec![0_u8; size]);
    // SAFETY: the strings live through the call, and `value` has room for `size` bytes.
    let len =
        unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), size) };
    let len = Errno::result(len)? as usize;
    value.truncate(len);
    Ok((len, value))
}

pub(crate) fn listxattr(path: &Path, size: usize) -> Result<(usize, Vec<u8>)> {
    let (path, mut names) = (c_path(path), vec![0_u8; size]);
    // SAFETY: the string lives through the call, and `names` has room for `size` bytes.
    let len = unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), size) };
    let len = Errno::result(len)? as usize;
    names.truncate(len);
    Ok((len, names))
}

pub(crate) fn removexattr(path: &Path, name: &str) -> Result<()> {
    let (path, name) = (c_path(path), c_name(name));
    // SAFETY: the strings live through the call.
    Errno::result(unsafe { libc::lremovexattr(path.as_ptr(), name.as_ptr()) }).map(drop)
}

/// Entries of a directory as far as they fit into `room` bytes: inode, offset, type and name.
pub(crate) fn getdents(fd: BorrowedFd<'_>, room: usize) -> Result<Vec<(u64, i64, u8, String)>> {
    let mut buffer = vec![0_u8; room];
    // SAFETY: the buffer has room for `room` bytes.
    let len =
        unsafe { libc::syscall(libc::SYS_getdents64, fd.as_raw_fd(), buffer.as_mut_ptr(), room) };
    let len = Errno::result(len)? as usize;
    let mut entries = Vec::new();
    let mut rest = &buffer[..len];
    // ino: u64, offset: i64, record's length: u16, type: u8, name with a zero behind it
    while rest.len() >= 19 {
        let number = |at: usize| u64::from_ne_bytes(rest[at..at + 8].try_into().expect("8 bytes"));
        let record = usize::from(u16::from_ne_bytes([rest[16], rest[17]]));
        let name = rest[19..record].split(|&byte| byte == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        entries.push((number(0), number(8) as i64, rest[18], name));
        rest = &rest[record..];
    }
    Ok(entries)
}

/// The mode, size, and which fields there are, of a `statx` that asks for the time of birth.
pub(crate) fn statx_btime(path: &Path) -> Result<(u16, u64, bool)> {
    let path = c_path(path);
    // SAFETY: zeroes are a valid `statx`.
    let mut stat: libc::statx = unsafe { std::mem::zeroed() };
    let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
    // SAFETY: the string and the struct live through the call.
    let done = unsafe {
        libc::statx(libc::AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_NOFOLLOW, mask, &raw mut stat)
    };
    Errno::result(done)?;
    Ok((stat.stx_mode, stat.stx_size, stat.stx_mask & libc::STATX_BTIME != 0))
}

/// An ioctl that passes `data` in and out, for which its number says that it is large enough.
pub(crate) fn ioctl(fd: BorrowedFd<'_>, number: u32, data: &mut [u8; 64]) -> Result<c_int> {
    let size = (number >> 16 & 0x3fff) as usize;
    assert!(size <= data.len(), "the kernel would pass out {size} bytes");
    // SAFETY: the kernel and the filesystem pass at most `size` bytes in and out.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), number.into(), data.as_mut_ptr()) })
}

/// Maps a file, reads it, and if it is shared and writable changes one byte and syncs it.
pub(crate) fn mapped(
    fd: BorrowedFd<'_>,
    len: NonZeroUsize,
    flags: c_int,
    change: Option<usize>,
) -> Result<Vec<u8>> {
    let protection = libc::PROT_READ | if change.is_some() { libc::PROT_WRITE } else { 0 };
    // SAFETY: a new mapping, at an address the kernel chooses, touches nothing else.
    let at =
        unsafe { libc::mmap(ptr::null_mut(), len.get(), protection, flags, fd.as_raw_fd(), 0) };
    if at == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    // SAFETY: the mapping is `len` bytes, within the file's pages, and nobody else's.
    let bytes = unsafe { std::slice::from_raw_parts(at.cast::<u8>(), len.get()) }.to_vec();
    let mut synced = Ok(0);
    if let Some(offset) = change {
        assert!(offset < len.get());
        // SAFETY: `offset` is within the mapping, which is writable.
        unsafe { at.cast::<u8>().add(offset).write(b'M') };
        // SAFETY: the mapping is `len` bytes.
        synced = Errno::result(unsafe { libc::msync(at, len.get(), libc::MS_SYNC) });
    }
    // SAFETY: nothing refers to the mapping any more.
    Errno::result(unsafe { libc::munmap(at, len.get()) })?;
    synced.map(|_| bytes)
}

/// A buffer whose start is aligned to a page, for direct I/O.
pub(crate) fn aligned(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    *buffer = vec![0; len + 4096];
    let start = buffer.as_ptr().align_offset(4096);
    &mut buffer[start..start + len]
}

pub(crate) fn syncfs(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: it takes a descriptor alone.
    Errno::result(unsafe { libc::syncfs(fd.as_raw_fd()) }).map(drop)
}

/// Makes the calling thread, and no other, another user's for good.
pub(crate) fn become_user(id: u32) -> Result<()> {
    // SAFETY: numbers alone; the bare system calls concern the calling thread.
    Errno::result(unsafe { libc::syscall(libc::SYS_setgroups, 0, ptr::null::<u32>()) })?;
    // SAFETY: as above.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresgid, id, id, id) })?;
    // SAFETY: as above.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresuid, id, id, id) })?;
    Ok(())
}

/// Gives the calling thread another user's id for what concerns files; it remains root.
pub(crate) fn set_fsuid(id: u32) {
    // SAFETY: a number alone; it concerns the calling thread.
    unsafe { libc::setfsuid(id) };
}
