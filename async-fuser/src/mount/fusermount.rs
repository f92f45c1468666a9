//! Mounting through `fusermount3`, the set-user-id helper that may do what we may not.
//!
//! It opens the device, mounts, and sends the descriptor through a socket that it inherits. With
//! `auto_unmount` it then stays, and unmounts when our end of the socket is closed and the
//! mount has no server any more.

use std::env;
use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use log::{debug, warn};
use nix::unistd::{AccessFlags, access};

use super::error::MountError;
use super::options::Config;
use super::syscall::{receive_descriptor, share_with_child};

/// The helper that stays for `auto_unmount`.
///
/// Dropping it closes our end of its socket and waits until it has ended. It leaves a mount that
/// still has a server alone, so whoever drops it has unmounted before.
#[derive(Debug)]
pub(super) struct Guardian {
    socket: Option<UnixStream>,
    child: Child,
}

/// Has the helper mount on `mountpoint`.
pub(super) fn mount(mountpoint: &Path, config: &Config) -> io::Result<(OwnedFd, Option<Guardian>)> {
    let program = find()?;
    let (socket, theirs) = UnixStream::pair()?;
    let mut command = Command::new(&program);
    let number = share_with_child(&mut command, theirs.into())?;
    let options = config.helper_options();
    if !options.is_empty() {
        command.arg("-o").arg(options);
    }
    command.arg("--").arg(mountpoint).env(SOCKET_VARIABLE, number.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let spawned = command.spawn();
    drop(command); // and with it our copy of the helper's end, so that its exit is seen
    let mut child = spawned.map_err(|e| MountError::system("cannot run", &program, e, None))?;
    debug!("{} mounts on {mountpoint:?}", program.display());

    match receive_descriptor(&socket) {
        Ok(Some(device)) if config.wants_auto_unmount() => {
            child.stderr = None;
            Ok((device, Some(Guardian { socket: Some(socket), child })))
        }
        Ok(Some(device)) => {
            drop(socket);
            let words = last_words(&mut child);
            if !words.is_empty() {
                debug!("{}: {words}", program.display());
            }
            Ok((device, None))
        }
        refused => {
            drop(socket);
            let words = last_words(&mut child);
            Err(match refused {
                Err(error) if words.is_empty() => MountError::system(STEP, mountpoint, error, None),
                _ => explain(mountpoint, &program, &words),
            })
        }
    }
}

/// Has the helper unmount `mountpoint`. `ErrorKind::ResourceBusy` if it is in use and `lazy` is
/// not set.
pub(super) fn unmount(mountpoint: &Path, lazy: bool) -> io::Result<()> {
    let program = find()?;
    let mut command = Command::new(&program);
    command.arg("-u").args(lazy.then_some("-z")).arg("--").arg(mountpoint);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child =
        command.spawn().map_err(|e| MountError::system("cannot run", &program, e, None))?;
    let words = last_words(&mut child);
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        // Where SIGCHLD is ignored nobody learns the status; a helper that fails says why.
        Err(_) if words.is_empty() => Ok(()),
        _ => {
            let (kind, advice) = classify(&words);
            Err(MountError::because(kind, "cannot unmount", mountpoint, words, advice))
        }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.socket.take());
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(1);
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() >= deadline {
                warn!("fusermount (pid {}) does not end and is killed", self.child.id());
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

/// Where the helper is: what `FUSERMOUNT_PATH` names, or the first in `PATH` and the usual places.
fn find() -> io::Result<PathBuf> {
    if let Some(named) = env::var_os("FUSERMOUNT_PATH") {
        return Ok(named.into());
    }
    search(&env::var_os("PATH").unwrap_or_default()).ok_or_else(|| {
        MountError::because(
            ErrorKind::NotFound,
            "cannot find",
            Path::new(PROGRAMS[0]),
            "this process may not mount by itself, and the program that does it for ordinary \
             users is not installed",
            Some("install the package fuse3, or run as root"),
        )
    })
}

fn search(path: &OsStr) -> Option<PathBuf> {
    let places = || env::split_paths(path).chain(USUAL_PLACES.iter().map(PathBuf::from));
    PROGRAMS.iter().find_map(|program| {
        places()
            .filter(|place| place.is_absolute())
            .map(|place| place.join(program))
            .find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
    })
}

/// What the helper wrote until it ended.
fn last_words(child: &mut Child) -> String {
    let mut words = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_end(&mut words);
    }
    let _ = child.wait();
    String::from_utf8_lossy(&words).trim().replace('\n', "; ")
}

fn explain(mountpoint: &Path, program: &Path, words: &str) -> io::Error {
    let (kind, advice) = classify(words);
    let words = match words {
        "" => format!("{} ended without a word", program.display()),
        _ => words.to_owned(), // which begin with the program's name
    };
    MountError::because(kind, STEP, mountpoint, words, advice)
}

/// The helper tells only in words what went wrong.
fn classify(words: &str) -> (ErrorKind, Option<&'static str>) {
    let table: [(&str, ErrorKind, Option<&str>); 13] = [
        (
            "user_allow_other",
            ErrorKind::PermissionDenied,
            Some(
                "have root add the line 'user_allow_other' to /etc/fuse.conf, \
                 or mount with SessionACL::Owner",
            ),
        ),
        ("device not found", ErrorKind::NotFound, Some(super::NO_DEVICE)),
        (
            "failed to open /dev/fuse: Permission denied",
            ErrorKind::PermissionDenied,
            Some("have root do 'chmod 666 /dev/fuse', as is usual"),
        ),
        ("unknown option", ErrorKind::InvalidInput, None),
        (
            "too many FUSE filesystems",
            ErrorKind::QuotaExceeded,
            Some("unmount some, or have root raise 'mount_max' in /etc/fuse.conf"),
        ),
        (
            "no write access to mountpoint",
            ErrorKind::PermissionDenied,
            Some("mount on a directory that you may write to"),
        ),
        (
            "not owned by user",
            ErrorKind::PermissionDenied,
            Some("mount on a directory of your own"),
        ),
        (
            "not found in /etc/mtab",
            ErrorKind::PermissionDenied,
            Some("only root and the user who mounted it may unmount it"),
        ),
        ("Transport endpoint is not connected", ErrorKind::NotConnected, Some(super::STALE)),
        ("Device or resource busy", ErrorKind::ResourceBusy, None),
        ("No such file or directory", ErrorKind::NotFound, None),
        (
            "Operation not permitted",
            ErrorKind::PermissionDenied,
            Some("fusermount3 has to be set-user-id root, and may not be so in this container"),
        ),
        ("Permission denied", ErrorKind::PermissionDenied, None),
    ];
    let known = table.into_iter().find(|(phrase, ..)| words.contains(phrase));
    known.map_or((ErrorKind::Other, None), |(_, kind, advice)| (kind, advice))
}

const STEP: &str = "cannot mount through fusermount on";
const SOCKET_VARIABLE: &str = "_FUSE_COMMFD";
const PROGRAMS: [&str; 2] = ["fusermount3", "fusermount"];
const USUAL_PLACES: [&str; 7] = [
    "/usr/bin",
    "/bin",
    "/usr/sbin",
    "/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/run/wrappers/bin",
];
/// How long the helper may take to end after a mount.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_helper_become_a_kind_and_advice() {
        for (words, kind, advice) in [
            (
                "fusermount3: option allow_other only allowed if 'user_allow_other' is set in \
                 /etc/fuse.conf",
                ErrorKind::PermissionDenied,
                "add the line 'user_allow_other'",
            ),
            (
                "fusermount3: fuse device not found, try 'modprobe fuse' first",
                ErrorKind::NotFound,
                "modprobe",
            ),
            ("fusermount3: unknown option 'x'", ErrorKind::InvalidInput, ""),
            (
                "fusermount3: user has no write access to mountpoint /mnt",
                ErrorKind::PermissionDenied,
                "may write",
            ),
            (
                "fusermount3: failed to unmount /m: Device or resource busy",
                ErrorKind::ResourceBusy,
                "",
            ),
            ("something new", ErrorKind::Other, ""),
            ("", ErrorKind::Other, ""),
        ] {
            let (got, told) = classify(words);
            assert_eq!(got, kind, "{words}");
            assert!(told.unwrap_or_default().contains(advice), "{words}: {told:?}");
            let error = explain(Path::new("/mnt/x"), Path::new("/bin/fusermount3"), words);
            assert_eq!(error.kind(), kind);
            let text = error.to_string();
            assert!(text.contains("/mnt/x") && text.contains(words), "{text}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_executed_is_not_the_helper() {
        let place = env::temp_dir().join(format!("fusermount-search-{}", std::process::id()));
        std::fs::create_dir_all(place.join("fusermount3")).expect("a directory of that name");
        std::fs::write(place.join("fusermount"), "").expect("a file of that name");
        let found = search(place.as_os_str());
        std::fs::remove_dir_all(&place).expect("removed");
        assert!(found.is_none_or(|found| !found.starts_with(&place)));
    }
}
