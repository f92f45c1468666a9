//! System calls that neither the standard library nor nix has.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process;

/// One call of `getdents64(2)` with room for `room` bytes: each entry's name, and where the
/// listing goes on behind it. Without `.` and `..`. Nothing at the end.
pub fn getdents(dir: &File, room: usize) -> io::Result<Vec<(OsString, i64)>> {
    let mut buffer = vec![0u8; room];
    // SAFETY: the kernel writes at most `room` bytes, which the buffer has.
    let len = unsafe {
        libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())
    };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    let mut entries = Vec::new();
    let mut rest = &buffer[..len];
    // d_ino: u64, d_off: i64, d_reclen: u16, d_type: u8, d_name
    while rest.len() >= 19 {
        let next = i64::from_ne_bytes(rest[8..16].try_into().expect("eight bytes"));
        let entry_len = u16::from_ne_bytes([rest[16], rest[17]]) as usize;
        let name = CStr::from_bytes_until_nul(&rest[19..entry_len]).expect("a name ends");
        if ![&b"."[..], b".."].contains(&name.to_bytes()) {
            entries.push((OsString::from_vec(name.to_bytes().to_vec()), next));
        }
        rest = &rest[entry_len..];
    }
    Ok(entries)
}

/// Has the next [`getdents`] begin anew.
pub fn rewind(dir: &File) -> io::Result<()> {
    seek(dir, 0)
}

/// Has the next [`getdents`] go on from a place it told, or a number of the caller's own.
pub fn seek(dir: &File, place: i64) -> io::Result<()> {
    // SAFETY: no memory is involved.
    let done = unsafe { libc::lseek(dir.as_raw_fd(), place, libc::SEEK_SET) };
    result(done as isize).map(drop)
}

/// `setxattr(2)`.
pub fn setxattr(path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    let (path, name) = (c(path.as_os_str())?, c(OsStr::new(name))?);
    // SAFETY: both strings end, and the kernel reads as many bytes of the value as there are.
    let done = unsafe {
        libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    result(done as isize).map(drop)
}

/// `getxattr(2)` with so much room.
pub fn getxattr(path: &Path, name: &str, room: &mut [u8]) -> io::Result<usize> {
    let (path, name) = (c(path.as_os_str())?, c(OsStr::new(name))?);
    // SAFETY: both strings end, and the kernel writes no more bytes than there is room.
    let len = unsafe {
        libc::getxattr(path.as_ptr(), name.as_ptr(), room.as_mut_ptr().cast(), room.len())
    };
    result(len)
}

/// `listxattr(2)` with so much room.
pub fn listxattr(path: &Path, room: &mut [u8]) -> io::Result<usize> {
    let path = c(path.as_os_str())?;
    // SAFETY: the string ends, and the kernel writes no more bytes than there is room.
    let len = unsafe { libc::listxattr(path.as_ptr(), room.as_mut_ptr().cast(), room.len()) };
    result(len)
}

/// Has this process survive a signal, so that it does nothing but interrupt system calls.
pub fn catch(signal: i32) -> io::Result<()> {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: all zeros is a valid sigaction: no flags (so system calls are not restarted), and an
    // empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
    // SAFETY: the handler does nothing, which is allowed at any moment.
    result(unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } as isize).map(drop)
}

/// Sends a signal to every other thread of this process, and returns how many there were.
pub fn signal_other_threads(signal: i32) -> usize {
    let me = thread_id();
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let threads: BTreeSet<i32> =
        tasks.filter_map(|task| task.file_name().to_str()?.parse().ok()).collect();
    let signalled = threads
        .into_iter()
        .filter(|thread| *thread != me && signal_thread(*thread, signal).is_ok());
    signalled.count()
}

/// The number of the calling thread.
pub fn thread_id() -> i32 {
    // SAFETY: it only asks for a number.
    unsafe { libc::gettid() }
}

/// Sends a signal to a thread of this process.
pub fn signal_thread(thread: i32, signal: i32) -> io::Result<()> {
    let pid = process::id() as i32;
    // SAFETY: it only sends a signal, and only to this process.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, pid, thread, signal) };
    result(sent as isize).map(drop)
}

fn c(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}

fn result(returned: isize) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}
