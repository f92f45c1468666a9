//! Thousands who wait: each caller is a thread, and each of its reads takes the server 10 ms.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::sys::uio::pread;

use crate::report::Turn;
use crate::server::Server;
use crate::workload::expect;

/// Has so many callers read for a while. Ends the server, so that those whose turn has not come
/// need not be waited for.
pub(crate) fn run(server: Server, callers: usize, duration: Duration) -> io::Result<Turn> {
    let caller = server.callers(1)?.pop().expect("one caller");
    let crowd = Crowd::default();
    thread::scope(|scope| {
        let begun = (0..callers).try_for_each(|number| {
            let read = || crowd.read(|buffer| pread(&caller.slow, buffer, 0));
            let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, read);
            thread.map(drop).map_err(|error| {
                io::Error::other(format!(
                    "caller {number} of {callers}: {error} (ulimit -u, kernel.threads-max, \
                     kernel.pid_max and vm.max_map_count limit threads)"
                ))
            })
        });
        let turn = begun.and_then(|()| crowd.watch(&server, duration));
        crowd.over.store(true, Ordering::Relaxed);
        drop(server);
        turn
    })
}

/// Of a caller: it has one page to read into.
const STACK: usize = 64 << 10;

#[derive(Default)]
struct Crowd {
    done: AtomicU64,
    over: AtomicBool,
    failed: OnceLock<io::Error>,
}

impl Crowd {
    fn read(&self, read: impl Fn(&mut [u8]) -> nix::Result<usize>) {
        let mut buffer = [0; 4096];
        while !self.over.load(Ordering::Relaxed) {
            match read(&mut buffer).map_err(io::Error::from).and_then(|len| expect(len, 4096)) {
                Ok(()) => drop(self.done.fetch_add(1, Ordering::Relaxed)),
                // When it is over, the server ends and all who wait are told so.
                Err(_) if self.over.load(Ordering::Relaxed) => {}
                Err(error) => return drop(self.failed.set(error)),
            }
        }
    }

    fn watch(&self, server: &Server, duration: Duration) -> io::Result<Turn> {
        let count = || self.done.load(Ordering::Relaxed);
        // For all to have begun, and for memory to be what it will be.
        sleep(duration);
        let (began, before, cpu_time) = (Instant::now(), count(), server.cpu_time()?);
        sleep(duration);
        let done = (count() - before) as f64;
        let (seconds, cpu_time) = (began.elapsed().as_secs_f64(), server.cpu_time()? - cpu_time);
        if let Some(error) = self.failed.get() {
            return Err(io::Error::other(format!("a slow read: {error}")));
        }
        Ok(Turn { speed: done / seconds, cpu: cpu_time / done, peak: server.peak_memory()? })
    }
}
