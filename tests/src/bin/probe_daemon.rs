//! Mounts a [`Probe`] in a process of its own, for the tests that kill, stop or limit it.
//!
//! It says `ready` once the filesystem is served, and what the probe counted when the session has
//! ended. Warnings and errors of the library go to standard error.

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use async_fuser::lib_async::AsyncSessionBuilder;
use async_fuser::{Config, InitFlags, MountOption, Session, SessionACL};
use log::{LevelFilter, Log, Metadata, Record};
use tests::{AsyncProbe, Init, Probe, ProbeOptions, Watch, Workers, sys, without_tasks};

const USAGE: &str = "probe_daemon MOUNTPOINT [--threads N] [--clone-fd] [--acl all|root|owner] \
    [--auto-unmount] [--default-permissions] [--recover-stale] [--slow MS] [--backing FILE] \
    [--init fails|panics] [--spawn PROGRAM ARGUMENT] [--abort-error] [--background] [--storm] \
    [--async current|two] [--signals] [--drain MS] [--writeback] \
    [--let-go-by FILE]";

fn main() -> ExitCode {
    log::set_logger(&ToStderr).expect("the only logger");
    log::set_max_level(LevelFilter::Warn);
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = env::args().skip(1);
    let mountpoint = args.next().ok_or(USAGE)?;
    let mut options = ProbeOptions::default();
    let mut config = Probe::config();
    let (mut child, mut background, mut storm) = (None, false, false);
    let mut asynchronous = Asynchronous::default();
    let mut let_go_by = None;
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(USAGE);
        match arg.as_str() {
            "--threads" => config.n_threads = Some(value()?.parse()?),
            "--clone-fd" => config.clone_fd = true,
            "--acl" => {
                config.acl = match value()?.as_str() {
                    "all" => SessionACL::All,
                    "root" => SessionACL::RootAndOwner,
                    "owner" => SessionACL::Owner,
                    _ => return Err(USAGE.into()),
                }
            }
            "--auto-unmount" => config.mount_options.push(MountOption::AutoUnmount),
            "--default-permissions" => config.mount_options.push(MountOption::DefaultPermissions),
            "--recover-stale" => config.recover_stale = true,
            "--abort-error" => options.capabilities |= InitFlags::FUSE_ABORT_ERROR,
            "--storm" => storm = true,
            "--slow" => options.slow = Duration::from_millis(value()?.parse()?),
            "--backing" => options.backing = Some(value()?.into()),
            "--init" => {
                options.init = match value()?.as_str() {
                    "fails" => Init::Fails(libc::EDOM),
                    "panics" => Init::Panics,
                    _ => return Err(USAGE.into()),
                }
            }
            "--spawn" => child = Some((value()?, value()?)),
            "--background" => background = true,
            "--async" => {
                asynchronous.workers = match value()?.as_str() {
                    "current" => Some(Workers::Current),
                    "two" => Some(Workers::Two),
                    _ => return Err(USAGE.into()),
                }
            }
            "--let-go-by" => let_go_by = Some(PathBuf::from(value()?)),
            "--signals" => asynchronous.signals = true,
            "--drain" => asynchronous.drain = Some(Duration::from_millis(value()?.parse()?)),
            "--writeback" => options.capabilities |= InitFlags::FUSE_WRITEBACK_CACHE,
            _ => return Err(USAGE.into()),
        }
    }
    let begin = |watch: &Watch| -> Result<(), Box<dyn std::error::Error>> {
        if let Some(file) = let_go_by {
            let watch = watch.clone();
            thread::spawn(move || {
                while !file.exists() {
                    thread::sleep(Duration::from_millis(5));
                }
                watch.let_go();
            });
        }
        if let Some((program, argument)) = child {
            let child = std::process::Command::new(program).arg(argument).spawn()?;
            println!("child {}", child.id());
        }
        if storm {
            let signals = Arc::new(AtomicUsize::new(0));
            signal_all_threads(signals.clone())?;
            thread::spawn(move || {
                while signals.load(Ordering::Relaxed) < 1000 {
                    thread::sleep(Duration::from_millis(1));
                }
                println!("1000 signals");
            });
        }
        println!("ready");
        Ok(())
    };
    let watch = if asynchronous.workers.is_some() {
        asynchronous.serve(options, &mountpoint, &config, begin)?
    } else {
        let (probe, watch) = Probe::new(options);
        let session = Session::new(probe, mountpoint, &config)?;
        begin(&watch)?;
        if background {
            // As a program does that has something else to do: the session is on other threads.
            let session = session.spawn()?;
            while !session.guard.is_finished() {
                thread::sleep(Duration::from_millis(5));
            }
            session.join()?;
        } else {
            session.run()?;
        }
        watch
    };
    println!("open {} {:?}", watch.open_handles(), watch.all_calls());
    watch.assert_ended_well();
    println!("ended well");
    Ok(())
}

/// How the asynchronous engine serves.
#[derive(Default)]
struct Asynchronous {
    workers: Option<Workers>,
    signals: bool,
    drain: Option<Duration>,
}

impl Asynchronous {
    fn serve(
        self,
        options: ProbeOptions,
        mountpoint: &str,
        config: &Config,
        begin: impl FnOnce(&Watch) -> Result<(), Box<dyn std::error::Error>>,
    ) -> Result<Watch, Box<dyn std::error::Error>> {
        let runtime = self.workers.unwrap_or(Workers::Current).runtime();
        let (probe, watch) = AsyncProbe::new(options);
        let mut builder = AsyncSessionBuilder::new(probe).config(config).signals(self.signals);
        if let Some(drain) = self.drain {
            builder = builder.drain(drain);
        }
        runtime.block_on(async {
            let session = builder.spawn(mountpoint).await?;
            begin(&watch)?;
            Ok::<_, Box<dyn std::error::Error>>(session.join().await?)
        })?;
        runtime.block_on(without_tasks());
        Ok(watch)
    }
}

/// Sends a signal to every thread of this process but one, again and again: whatever waits in a
/// system call is interrupted all the time.
fn signal_all_threads(sent: Arc<AtomicUsize>) -> io::Result<()> {
    sys::catch(libc::SIGUSR1)?;
    thread::spawn(move || {
        loop {
            sent.fetch_add(sys::signal_other_threads(libc::SIGUSR1), Ordering::Relaxed);
            thread::sleep(Duration::from_micros(500));
        }
    });
    Ok(())
}

struct ToStderr;

impl Log for ToStderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.level() <= LevelFilter::Warn {
            eprintln!("{}: {}", record.level(), record.args());
        }
    }

    fn flush(&self) {}
}
