//! Watches the mailboxes of the `poll` example with `poll(2)` and prints what comes in.
//!
//! Not a filesystem: this is the program on the other side. It opens every file of a directory, sleeps in
//! one `poll` over all of them, and reads those that are ready. `select` and `epoll` would do as well.
//!
//! It holds the files open, so the mount stays in use: press Ctrl-C in `poll` and see it wait for this one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use examples::cli::{Example, default_mountpoint};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};

const EXAMPLE: Example = Example {
    name: "poll_client",
    try_it: &["poll &", "poll_client --count 8", "kill %1    # the mount goes too"],
};

/// Watch the mailboxes of the `poll` example and print what comes in
#[derive(Parser)]
struct Cli {
    /// The mountpoint of `poll` [default: its default]
    mountpoint: Option<PathBuf>,

    /// End after so many wake-ups, not only when the filesystem does
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    count: usize,

    /// Give up when nothing came for so many milliseconds
    #[arg(long, value_name = "MS")]
    timeout: Option<u16>,
}

fn main() -> ExitCode {
    let cli: Cli = EXAMPLE.parse();
    match watch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => EXAMPLE.fail(error),
    }
}

struct Mailbox {
    name: String,
    file: File,
}

fn watch(cli: &Cli) -> io::Result<()> {
    let mountpoint = cli.mountpoint.clone().unwrap_or_else(|| default_mountpoint("poll"));
    let mut mailboxes = open_all(&mountpoint).map_err(|error| {
        io::Error::new(error.kind(), format!("{}: {error}", mountpoint.display()))
    })?;
    let timeout = cli.timeout.map_or(PollTimeout::NONE, PollTimeout::from);
    let start = Instant::now();
    let mut out = io::stdout();

    for _ in 0..cli.count {
        let mut polled: Vec<_> = mailboxes
            .iter()
            .map(|mailbox| PollFd::new(mailbox.file.as_fd(), PollFlags::POLLIN))
            .collect();
        match nix::poll::poll(&mut polled, timeout) {
            Ok(0) => return Err(io::Error::new(ErrorKind::TimedOut, "nothing came in time")),
            Err(Errno::EINTR) => continue,
            result => result?,
        };
        let ready: Vec<_> =
            polled.iter().map(|polled| polled.revents().unwrap_or(PollFlags::empty())).collect();

        let names = mailboxes.iter().zip(&ready).filter(|(_, events)| !events.is_empty());
        let names: Vec<_> = names.map(|(mailbox, _)| mailbox.name.as_str()).collect();
        writeln!(out, "{:6} ms  ready: {}", start.elapsed().as_millis(), names.join(", "))?;

        for (mailbox, events) in mailboxes.iter_mut().zip(ready) {
            if events.contains(PollFlags::POLLERR) {
                writeln!(out, "the filesystem has gone")?;
                return Ok(());
            }
            if events.contains(PollFlags::POLLIN) {
                let letters = mailbox.read()?;
                for letter in letters.lines() {
                    writeln!(out, "           {letter}")?;
                }
            }
        }
    }
    Ok(())
}

fn open_all(directory: &Path) -> io::Result<Vec<Mailbox>> {
    let mut mailboxes = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let file =
                OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(entry.path())?;
            mailboxes
                .push(Mailbox { name: entry.file_name().to_string_lossy().into_owned(), file });
        }
    }
    if mailboxes.is_empty() {
        return Err(io::Error::new(
            ErrorKind::NotFound,
            "there is no file to watch; is `poll` mounted there?",
        ));
    }
    Ok(mailboxes)
}

impl Mailbox {
    /// What is in it. Empty when another reader was faster.
    fn read(&mut self) -> io::Result<String> {
        let mut letters = vec![0; 64 * 1024];
        match self.file.read(&mut letters) {
            Ok(len) => Ok(String::from_utf8_lossy(&letters[..len]).into_owned()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(String::new()),
            Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", self.name))),
        }
    }
}
