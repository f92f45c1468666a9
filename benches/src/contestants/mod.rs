//! Who takes part: a file here and a row in [`CONTESTANTS`] each.

mod fuse3;
mod fuse_backend_rs;
mod fuser;
mod libfuse;
mod ours;
mod ours_async;
mod ours_macro;
mod polyfuse;
mod published;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use tokio::runtime::Runtime;

/// One that serves the filesystem of [`tree`](crate::tree).
pub(crate) struct Contestant {
    /// On the command line and above its column.
    pub(crate) name: &'static str,
    /// What it is, for the reader of the tables.
    pub(crate) about: &'static str,
    /// What it needs before it serves for the first time.
    prepare: fn(scratch: &Path) -> io::Result<()>,
    /// Mounts and serves until it is unmounted.
    pub(crate) serve: fn(&Place) -> io::Result<()>,
}

pub(crate) const CONTESTANTS: &[Contestant] = &[
    row("ours", "async-fuser, synchronous", ours::serve),
    row("ours-async", "async-fuser, raw asynchronous trait, current-thread runtime", |place| {
        ours_async::serve(place, &current_thread()?, false)
    }),
    row("ours-async-mt", "the same, multi-thread runtime", |place| {
        ours_async::serve(place, &multi_thread()?, false)
    }),
    row("ours-async-br", "the same, current-thread runtime beside a blocking reader", |place| {
        ours_async::serve(place, &current_thread()?, true)
    }),
    row("ours-macro", "async-fuser, attribute macro, current-thread runtime", |place| {
        ours_macro::serve(place, &current_thread()?)
    }),
    row("fuser", "fuser 0.18.0", fuser::serve),
    Contestant {
        prepare: libfuse::prepare,
        ..row("libfuse", "libfuse 3 of the distribution, low-level API, in C", libfuse::serve)
    },
    row(
        "fuse-backend-rs",
        "fuse-backend-rs 0.14.0 (always with default_permissions)",
        fuse_backend_rs::serve,
    ),
    row("polyfuse", "polyfuse 0.5.1, on threads", polyfuse::serve),
    row(
        "published",
        "async-fuser 0.17.0 as published (without FLUSH), current-thread runtime",
        |place| published::serve(place, &current_thread()?),
    ),
    row("published-mt", "the same, multi-thread runtime", |place| {
        published::serve(place, &multi_thread()?)
    }),
    row("fuse3", "fuse3 0.10.0 (looks up what it lists), current-thread runtime", |place| {
        fuse3::serve(place, &current_thread()?)
    }),
    row("fuse3-mt", "the same, multi-thread runtime", |place| {
        fuse3::serve(place, &multi_thread()?)
    }),
];

impl Contestant {
    pub(crate) fn by_name(name: &str) -> Result<&'static Self, String> {
        CONTESTANTS.iter().find(|contestant| contestant.name == name).ok_or_else(|| {
            let names: Vec<_> = CONTESTANTS.iter().map(|contestant| contestant.name).collect();
            format!("there are {}", names.join(", "))
        })
    }

    pub(crate) fn prepare(&self, scratch: &Path) -> io::Result<()> {
        (self.prepare)(scratch)
    }
}

impl fmt::Debug for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Where a contestant serves, and with what.
#[derive(Args, Clone, Debug)]
pub(crate) struct Place {
    pub(crate) mountpoint: PathBuf,
    /// A directory of this run, for what was prepared.
    pub(crate) scratch: PathBuf,
    /// How many threads read requests, where the library leaves them to its user; if several,
    /// each with a descriptor of its own where the library can.
    pub(crate) threads: usize,
}

const fn row(
    name: &'static str,
    about: &'static str,
    serve: fn(&Place) -> io::Result<()>,
) -> Contestant {
    Contestant { name, about, prepare: |_| Ok(()), serve }
}

fn current_thread() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// As many workers as CPUs: one, if pinned.
fn multi_thread() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
