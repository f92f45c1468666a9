//! Very many callers of a mounted `Probe`, all in one process: `crowd MOUNTPOINT CALLERS SEED`, or
//! with a fourth argument all of them in one read of that file at the same time.
//!
//! It says `ready` when all are at it, and each goes on until the filesystem is gone.

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd;
use tests::{Random, sys};

const STACK: usize = 32 << 10;

fn main() {
    let args: Vec<_> = env::args().skip(1).collect();
    let at = PathBuf::from(args.first().expect("a mountpoint"));
    let number = |place: usize| args.get(place).and_then(|text| text.parse::<u64>().ok());
    let (callers, seed) = (number(1).expect("a number"), number(2).expect("a seed"));
    match args.get(3) {
        Some(file) => read_together(&at.join(file), callers),
        None => come_and_go(&at, callers, seed),
    }
}

/// All read the same file once.
fn read_together(path: &Path, callers: u64) {
    let file = Arc::new(File::open(path).expect("a file"));
    let read = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..callers)
        .map(|_| {
            let (file, read) = (file.clone(), read.clone());
            let reads = move || {
                if file.read_at(&mut [0; 100], 0).is_ok_and(|len| len > 0) {
                    read.fetch_add(1, Ordering::Relaxed);
                }
            };
            thread::Builder::new().stack_size(STACK).spawn(reads).expect("a thread")
        })
        .collect();
    println!("ready");
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    println!("{} have read", read.load(Ordering::Relaxed));
}

/// All do this and that, and are interrupted at it.
fn come_and_go(at: &Path, callers: u64, seed: u64) {
    sys::catch(libc::SIGUSR1).expect("a handler");
    let done = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..callers)
        .map(|caller| {
            let (at, done) = (at.to_owned(), done.clone());
            let mut random = Random::new(seed ^ caller << 32);
            let calls = move || {
                loop {
                    match one_call(&at, &mut random) {
                        Ok(()) => drop(done.fetch_add(1, Ordering::Relaxed)),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(_) => return,
                    }
                }
            };
            thread::Builder::new().stack_size(STACK).spawn(calls).expect("a thread")
        })
        .collect();
    println!("ready");
    io::stdout().flush().expect("somebody listens");
    while !threads.iter().all(|thread| thread.is_finished()) {
        sys::signal_other_threads(libc::SIGUSR1);
        thread::sleep(Duration::from_millis(20));
    }
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    println!("{} done", done.load(Ordering::Relaxed));
}

/// Without the standard library where that would try again after an interrupt.
fn one_call(at: &Path, random: &mut Random) -> io::Result<()> {
    let name = *random.choose(&["plain", "direct", "slow", "slow-open", "later", "many"]);
    let path = at.join(name);
    match random.below(4) {
        0 => {
            path.metadata()?;
        }
        1 if name == "direct" => {
            let file = open(&path, OFlag::O_RDWR, Mode::empty())?;
            unistd::write(&file, &vec![b'c'; 1 + random.below(20_000) as usize])?;
        }
        _ => {
            let file = open(&path, OFlag::O_RDONLY, Mode::empty())?;
            if name == "many" {
                sys::getdents(&File::from(file), 4096)?;
            } else {
                unistd::read(&file, &mut [0; 1000])?;
            }
        }
    }
    Ok(())
}
