//! Limits: what takes too long fails, and does not hang.

use std::any::type_name;
use std::cell::Cell;
use std::env;
use std::panic::resume_unwind;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::mountpoint::abort_all_of;
use crate::require_tool;
use crate::run::Run;

/// Runs `what` in a thread of its own, and panics if it takes longer than `limit`.
///
/// By then the connections of all this test's [`Mountpoint`](crate::Mountpoint)s are aborted: so
/// whoever hangs in one of them gets an error and goes on to its end.
#[track_caller]
pub fn within<T: Send + 'static>(limit: Duration, what: impl FnOnce() -> T + Send + 'static) -> T {
    let test = Test::current();
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let done = thread::Builder::new()
        .name(name)
        .spawn(move || {
            CURRENT.set(Some(test));
            what()
        })
        .expect("a thread for a test");
    if !wait(limit, || done.is_finished()) {
        abort_all_of(test);
        let freed = wait(AFTERMATH, || done.is_finished());
        let after = match freed.then(|| done.join()) {
            None => "hangs even after its connections were aborted".to_owned(),
            Some(Ok(_)) => "ended only when its connections were aborted".to_owned(),
            Some(Err(panic)) => format!("ended when its connections were aborted: {}", say(&panic)),
        };
        panic!("took longer than {limit:?}, and {after}");
    }
    done.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Waits until `done` says so; panics with `what` after `limit`.
#[track_caller]
pub fn eventually(limit: Duration, what: &str, done: impl FnMut() -> bool) {
    assert!(wait(limit, done), "{what}: not within {limit:?}");
}

/// Runs a test in a process of its own, so that what it does to its process (signals, limits, how
/// many threads and descriptors there are) concerns no other test. Call it first thing:
///
/// ```no_run
/// use std::time::Duration;
///
/// use tests::{Census, alone};
///
/// #[test]
/// fn nothing_is_left_behind() {
///     alone(Duration::from_secs(20), || {
///         let before = Census::here();
///         // ...
///         before.assert_nothing_left();
///     });
/// }
/// ```
#[track_caller]
pub fn alone<F: FnOnce()>(limit: Duration, test: F) {
    run_alone(limit, test, Command::new(env::current_exe().expect("the path of the tests")));
}

/// As [`alone`], with a mount namespace of its own: whoever makes another namespace meanwhile, which
/// begins with a copy of every mount, does not keep a filesystem mounted that this test unmounts.
#[track_caller]
pub fn alone_with_mounts<F: FnOnce()>(limit: Duration, test: F) {
    let mut command = Command::new(require_tool("unshare"));
    command.args(["--mount", "--propagation", "private", "--"]);
    command.arg(env::current_exe().expect("the path of the tests"));
    run_alone(limit, test, command);
}

#[track_caller]
fn run_alone<F: FnOnce()>(limit: Duration, test: F, mut command: Command) {
    // The closure's name is its test's, behind the crate's and before its own.
    let path = type_name::<F>();
    let name = path.split_once("::").map_or(path, |(_, name)| name).replace("::{{closure}}", "");
    if env::var_os(ALONE).is_some_and(|chosen| chosen == *name) {
        return test();
    }
    command.args([&name, "--exact", "--nocapture", "--include-ignored"]).env(ALONE, &name);
    let ran = Run::from(command).within(limit).output();
    print!("{}", ran.stdout);
    assert!(
        ran.status.success() && ran.stdout.contains("1 passed"),
        "{name}, in a process of its own: {}\n{}\n{}",
        ran.status,
        ran.stdout,
        ran.stderr
    );
}

/// A test, as the things it has made remember it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Test(u64);

impl Test {
    /// The test whose thread this is; threads of [`within`] are their maker's.
    pub(crate) fn current() -> Self {
        CURRENT.get().unwrap_or_else(|| {
            static NEXT: AtomicU64 = AtomicU64::new(0);
            let test = Self(NEXT.fetch_add(1, Ordering::Relaxed));
            CURRENT.set(Some(test));
            test
        })
    }
}

thread_local! {
    static CURRENT: Cell<Option<Test>> = const { Cell::new(None) };
}

/// Waits until `done` says so. False if it has not within `limit`.
pub(crate) fn wait(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn say(panic: &Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

const ALONE: &str = "ASYNC_FUSER_TEST_ALONE";
/// How long whoever hung may take to end once nothing holds it any more.
const AFTERMATH: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "took longer than")]
    fn what_takes_too_long_fails() {
        within(Duration::from_millis(20), || thread::sleep(Duration::from_millis(200)));
    }

    #[test]
    #[should_panic(expected = "by itself")]
    fn a_panic_inside_a_limit_is_the_tests_own() {
        within(Duration::from_secs(5), || panic!("by itself"));
    }

    #[test]
    fn a_test_alone_is_in_another_process() {
        let parent = std::process::id();
        let marker = env::var(ALONE).is_ok();
        alone(Duration::from_secs(10), || {
            assert!(marker, "still in process {parent}");
        });
    }
}
