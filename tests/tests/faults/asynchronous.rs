//! What only the asynchronous engine can go through: tasks, runtimes, and methods that wait.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use async_fuser::lib_async::{
    AsyncBackgroundSession, AsyncFilesystem, AsyncNotifier, AsyncSessionBuilder, Attr, Data, Entry,
    Result,
};
use async_fuser::*;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;
use tests::{
    AsyncProbe, Census, Mountpoint, ProbeOptions, Watch, Workers, alone, eventually, run, sys,
    within,
};
use tokio::time::{sleep, timeout};

use crate::ending::{root, what_is_made_once_and_kept};
use crate::*;

#[test]
fn methods_that_wait_keep_nobody_else_waiting() {
    within(MINUTE, || {
        for engine in Engine::asynchronous() {
            let mounted = Mounted::new(ProbeOptions::default(), &engine);
            let stuck: Vec<_> = (0..50).map(|_| reading(mounted.join("stuck"))).collect();
            mounted.watch.wait_for_calls("read", 50, SOON);
            for _ in 0..100 {
                fs::read(mounted.join("plain")).expect("a file");
            }
            // Nobody waits for the last RELEASE.
            eventually(SOON, "only those that wait run", || mounted.watch.running() == 50);
            // One that has just been answered may be listed for a moment.
            eventually(SOON, "those that wait are listed", || {
                let waiting = mounted.session.handle().in_flight();
                waiting.len() == 50 && waiting.iter().all(|it| it.operation() == op::Opcode::READ)
            });
            mounted.watch.let_go();
            for stuck in stuck {
                stuck.join().expect("no panic").expect("a file");
            }
            mounted.session.umount_and_join().expect("a clean end");
            mounted.watch.assert_ended_well();
        }
    });
}

#[test]
fn a_killed_opener_goes_at_once_and_nothing_is_open() {
    within(MINUTE, || {
        for engine in Engine::asynchronous() {
            let mounted = Mounted::new(ProbeOptions::default(), &engine);
            let mut opener = run("cat").arg(mounted.join("held")).start();
            mounted.watch.wait_for_calls("open", 1, SOON);
            opener.signal(Signal::SIGKILL);
            assert!(!opener.wait(Duration::from_secs(20)).succeeded());
            eventually(SOON, "the method is dropped", || mounted.watch.running() == 0);
            assert_eq!((mounted.watch.open_handles(), mounted.watch.calls("release")), (0, 0));
            mounted.session.umount_and_join().expect("a clean end");
            mounted.watch.assert_ended_well();
        }
    });
}

#[test]
fn a_runtime_that_is_dropped_frees_whoever_waits() {
    alone(MINUTE, || {
        what_is_made_once_and_kept();
        let before = Census::here();
        for engine in Engine::asynchronous() {
            for busy in [false, true] {
                let at = Mountpoint::new();
                let (probe, watch) = AsyncProbe::new(ProbeOptions::default());
                let runtime = engine.workers.expect("it has a runtime").runtime();
                let builder = AsyncSessionBuilder::new(probe).config(&engine.config);
                let session = runtime.block_on(builder.spawn(&at)).expect("a mount");
                at.connection();
                let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
                let serves = thread::spawn(move || {
                    let _ = runtime.block_on(stopped);
                    drop(runtime);
                });
                let open = busy.then(|| File::open(at.join("direct")).expect("a file"));
                let stuck: Vec<_> = (0..8).map(|_| reading(at.join("stuck"))).collect();
                watch.wait_for_calls("read", 8, SOON);
                drop(stop);
                eventually(Duration::from_secs(20), "the runtime ends", || serves.is_finished());
                serves.join().expect("no panic");
                for stuck in stuck {
                    eventually(Duration::from_secs(20), "who waits is freed", || {
                        stuck.is_finished()
                    });
                    assert_errno(stuck.join().expect("no panic"), CUT_OFF);
                }
                eventually(SOON, "it is unmounted", || !at.is_mounted());
                if let Some(mut open) = open {
                    assert_errno(read_on(&mut open), CUT_OFF);
                }
                drop(session);
                watch.wait_for_destroy(SOON);
                watch.assert_ended_well();
            }
        }
        before.assert_nothing_left();
    });
}

/// What was written and is only in the kernel's cache cannot be saved then: but nobody waits for it.
#[test]
fn a_runtime_that_is_dropped_does_not_wait_for_dirty_pages() {
    within(MINUTE, || {
        for engine in Engine::asynchronous() {
            let at = Mountpoint::new();
            let options = ProbeOptions {
                capabilities: InitFlags::FUSE_WRITEBACK_CACHE,
                ttl: Duration::from_secs(60),
                ..ProbeOptions::default()
            };
            let (probe, watch) = AsyncProbe::new(options);
            let runtime = engine.workers.expect("it has a runtime").runtime();
            let builder = AsyncSessionBuilder::new(probe).config(&engine.config);
            let _session = runtime.block_on(builder.spawn(&at)).expect("a mount");
            at.connection();
            let path = at.join("plain");
            let writes = thread::spawn(move || fs::write(path, vec![b'x'; 100_000]));
            runtime.block_on(async {
                while !writes.is_finished() {
                    sleep(Duration::from_millis(1)).await;
                }
            });
            writes.join().expect("no panic").expect("it is in the cache");
            drop(runtime);
            eventually(SOON, "it is unmounted", || !at.is_mounted());
            watch.wait_for_destroy(SOON);
        }
    });
}

#[test]
fn a_session_whose_future_is_dropped_ends_by_itself() {
    within(MINUTE, || {
        for engine in Engine::asynchronous() {
            let at = Mountpoint::new();
            let (probe, watch) = AsyncProbe::new(ProbeOptions::default());
            let runtime = engine.workers.expect("it has a runtime").runtime();
            let builder = AsyncSessionBuilder::new(probe).config(&engine.config);
            runtime.block_on(async {
                let session = builder.mount(&at).await.expect("a mount");
                at.connection();
                let runs = tokio::spawn(session.run());
                let path = at.join("plain");
                tokio::task::spawn_blocking(|| fs::read(path))
                    .await
                    .expect("no panic")
                    .expect("a file");
                runs.abort();
                assert!(runs.await.expect_err("it was aborted").is_cancelled());
                tests::without_tasks().await;
            });
            assert!(!at.is_mounted());
            watch.assert_ended_well();
        }
    });
}

#[test]
fn a_mount_that_is_given_up_leaves_nothing() {
    alone(MINUTE, || {
        what_is_made_once_and_kept();
        let before = Census::here();
        for workers in [Workers::Current, Workers::Two] {
            let runtime = workers.runtime();
            for patience in 0..40 {
                let at = Mountpoint::new();
                let (probe, watch) = AsyncProbe::new(ProbeOptions::default());
                let mounted = runtime.block_on(async {
                    let mount = AsyncSessionBuilder::new(probe).mount(&at);
                    timeout(Duration::from_micros(100 * patience), mount).await
                });
                // One that came in time is dropped without having run.
                drop(mounted);
                eventually(SOON, "it is unmounted", || !at.is_mounted());
                assert_eq!(watch.calls("init"), watch.calls("destroy").min(watch.calls("init")));
            }
        }
        before.assert_nothing_left();
    });
}

#[test]
fn methods_that_never_end_are_dropped_when_they_have_had_their_time() {
    within(MINUTE, || {
        for engine in Engine::asynchronous() {
            for lazily in [false, true] {
                let at = Mountpoint::new();
                let (session, watch) = drained(&engine, Duration::from_millis(100), &at);
                let stuck: Vec<_> = (0..5).map(|_| reading(at.join("stuck"))).collect();
                watch.wait_for_calls("read", 5, SOON);
                let begun = Instant::now();
                if lazily {
                    session.umount_and_join().expect("a clean end");
                } else {
                    at.connection().abort();
                    session.join().expect("a clean end");
                }
                assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
                for stuck in stuck {
                    assert_errno(stuck.join().expect("no panic"), CUT_OFF);
                }
                assert!(!at.is_mounted());
                watch.assert_ended_well();
            }
        }
    });
}

#[test]
fn a_session_with_no_room_for_another_request_still_ends() {
    within(MINUTE, || {
        for engine in Engine::asynchronous() {
            for end in ["abort", "unmount"] {
                let at = Mountpoint::new();
                let (probe, watch) = AsyncProbe::new(ProbeOptions::default());
                let builder = AsyncSessionBuilder::new(probe)
                    .config(&engine.config)
                    .drain(Duration::from_millis(100))
                    .max_in_flight(2);
                let workers = engine.workers.expect("it has a runtime");
                let session = Serving::of(builder, workers, &at).expect("a mount");
                let connection = at.connection();
                let stuck: Vec<_> = (0..6).map(|_| reading(at.join("stuck"))).collect();
                watch.wait_for_calls("read", 2, SOON);
                match end {
                    "abort" => connection.abort(),
                    _ => umount2(at.path(), MntFlags::MNT_DETACH).expect("an unmount"),
                }
                if end == "unmount" {
                    // It goes on for those who use it, until they are told to hurry.
                    connection.abort();
                }
                eventually(Duration::from_secs(20), "the session ends", || session.is_finished());
                session.join().expect("a clean end");
                for stuck in stuck {
                    // Who came late finds an empty directory.
                    let errnos = [CUT_OFF, &[libc::ENOENT]].concat();
                    assert_errno(stuck.join().expect("no panic"), &errnos);
                }
                watch.assert_ended_well();
            }
        }
    });
}

#[test]
fn readers_without_room_go_on_when_there_is_and_end_when_they_are_to() {
    within(Duration::from_secs(120), || {
        for engine in Engine::asynchronous() {
            for _ in 0..4 {
                let at = Mountpoint::new();
                let slow = Duration::from_millis(1);
                let (probe, watch) =
                    AsyncProbe::new(ProbeOptions { slow, ..ProbeOptions::default() });
                let builder = AsyncSessionBuilder::new(probe)
                    .config(&engine.config)
                    .drain(Duration::from_millis(20))
                    .max_in_flight(2);
                let workers = engine.workers.expect("it has a runtime");
                let session = Serving::of(builder, workers, &at).expect("a mount");
                let connection = at.connection();
                let readers: Vec<_> = (0..16)
                    .map(|_| {
                        let path = at.join("slow");
                        thread::spawn(move || (0..10).try_for_each(|_| fs::read(&path).map(drop)))
                    })
                    .collect();
                for reader in readers {
                    reader.join().expect("no panic").expect("a slow file");
                }
                let stuck: Vec<_> = (0..8).map(|_| reading(at.join("stuck"))).collect();
                watch.wait_for_calls("open", 160 + 2, SOON);
                connection.abort();
                eventually(Duration::from_secs(20), "the session ends", || session.is_finished());
                session.join().expect("no reader is left");
                for stuck in stuck {
                    let errnos = [CUT_OFF, &[libc::ENOENT]].concat();
                    assert_errno(stuck.join().expect("no panic"), &errnos);
                }
                watch.assert_ended_well();
            }
        }
    });
}

/// Does once, in `getattr`, what it is told.
struct Ends(Arc<Mutex<Option<Ending>>>, mpsc::Sender<()>);

type Ending = Box<dyn FnOnce() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

impl AsyncFilesystem for Ends {
    async fn getattr(&self, op: op::Getattr<'_>) -> Result<Attr> {
        let end = self.0.lock().expect("no panic").take();
        if let Some(end) = end {
            end().await;
        }
        Ok(Attr::new(root(op.ino), Duration::ZERO))
    }

    async fn destroy(&mut self) {
        let _ = self.1.send(());
    }
}

#[test]
fn a_method_may_unmount_or_drop_its_own_session() {
    within(MINUTE, || {
        for engine in Engine::asynchronous() {
            for way in ["unmount", "unmount aside", "drop"] {
                let at = Mountpoint::new();
                let ending = Arc::new(Mutex::new(None));
                let (tell, destroyed) = mpsc::channel();
                let runtime = engine.workers.expect("it has a runtime").runtime();
                let filesystem = Ends(ending.clone(), tell);
                let builder = AsyncSessionBuilder::new(filesystem).config(&engine.config);
                let session = runtime.block_on(builder.spawn(&at)).expect("a mount");
                at.connection();
                let handle = session.handle();
                let (told, kept) = mpsc::channel();
                *ending.lock().expect("no panic") = Some(match way {
                    "unmount" => Box::new(move || {
                        told.send(session).expect("somebody waits");
                        Box::pin(async move { handle.unmount().await.expect("an unmount") })
                    }),
                    "unmount aside" => Box::new(move || {
                        told.send(session).expect("somebody waits");
                        tokio::spawn(async move { handle.unmount().await.expect("an unmount") });
                        Box::pin(async {})
                    }),
                    _ => Box::new(move || {
                        drop((session, told));
                        Box::pin(async {})
                    }),
                });
                let path = at.path().to_owned();
                let asks = thread::spawn(move || fs::metadata(path));
                runtime.block_on(async {
                    eventually_async("somebody asks", || asks.is_finished()).await;
                    eventually_async("it is destroyed", || destroyed.try_recv().is_ok()).await;
                    if let Ok(session) = kept.try_recv() {
                        let session: AsyncBackgroundSession = session;
                        session.join().await.expect("a clean end");
                    }
                    tests::without_tasks().await;
                });
                assert!(asks.join().expect("no panic").expect("attributes").is_dir());
                assert!(!at.is_mounted(), "{way}");
            }
        }
    });
}

/// Reads `plain` of its own mount within `lookup` of any other name.
struct Uses(PathBuf);

impl AsyncFilesystem for Uses {
    async fn lookup(&self, op: op::Lookup<'_>) -> Result<Entry> {
        if op.name != "plain" {
            let path = self.0.join("plain");
            let used = tokio::task::spawn_blocking(|| fs::metadata(path)).await;
            used.map_err(|_| Errno::EIO)??;
        }
        Ok(Entry::new(file(), Duration::ZERO))
    }

    async fn getattr(&self, op: op::Getattr<'_>) -> Result<Attr> {
        let attr = if op.ino == INodeNo::ROOT { root(op.ino) } else { file() };
        Ok(Attr::new(attr, Duration::ZERO))
    }
}

#[test]
fn a_method_may_use_its_own_mount() {
    within(MINUTE, || {
        for engine in Engine::asynchronous() {
            let at = Mountpoint::new();
            let builder =
                AsyncSessionBuilder::new(Uses(at.path().to_owned())).config(&engine.config);
            let workers = engine.workers.expect("it has a runtime");
            let session = Serving::of(builder, workers, &at).expect("a mount");
            at.connection();
            let users: Vec<_> = (0..20)
                .map(|i| {
                    let path = at.join(format!("user-{i}"));
                    thread::spawn(move || fs::metadata(path))
                })
                .collect();
            for user in users {
                user.join().expect("no panic").expect("attributes");
            }
            session.umount_and_join().expect("a clean end");
        }
    });
}

/// Has the kernel forget in every method what it asks about.
struct Notifies;

impl AsyncFilesystem for Notifies {
    async fn lookup(&self, op: op::Lookup<'_>) -> Result<Entry> {
        let notifier = AsyncNotifier::current();
        notifier.inval_entry(op.parent, op.name).await?;
        notifier.inval_inode(INodeNo(2), 0, 0).await?;
        Ok(Entry::new(file(), Duration::from_secs(60)))
    }

    async fn getattr(&self, op: op::Getattr<'_>) -> Result<Attr> {
        AsyncNotifier::current().inval_inode(op.ino, 0, 0).await?;
        let attr = if op.ino == INodeNo::ROOT { root(op.ino) } else { file() };
        Ok(Attr::new(attr, Duration::from_secs(60)))
    }

    async fn read(&self, op: op::Read<'_>) -> Result<Data<'_>> {
        AsyncNotifier::current().inval_inode(op.ino, 0, 0).await?;
        sleep(Duration::from_micros(100)).await;
        let left = file().size.saturating_sub(op.offset).min(op.size.into());
        Ok(Data::from(vec![b'n'; left as usize]))
    }
}

fn file() -> FileAttr {
    FileAttr { kind: FileType::RegularFile, size: 20_000, nlink: 1, ..root(INodeNo(2)) }
}

#[test]
fn notifications_within_methods_and_beside_them_stop_nobody() {
    within(MINUTE, || {
        for engine in Engine::asynchronous() {
            let at = Mountpoint::new();
            let builder = AsyncSessionBuilder::new(Notifies).config(&engine.config);
            let workers = engine.workers.expect("it has a runtime");
            let session = Serving::of(builder, workers, &at).expect("a mount");
            at.connection();
            let stop = Arc::new(AtomicBool::new(false));
            let notifier = session.handle().notifier();
            let notifies = session.runtime().spawn({
                let stop = stop.clone();
                async move {
                    let mut sent = 0;
                    while !stop.load(Ordering::Relaxed) {
                        // Nothing may be known of them at this moment.
                        let _ = notifier.inval_entry(INodeNo::ROOT, "file".as_ref()).await;
                        let _ = notifier.inval_inode(INodeNo(2), 0, 0).await;
                        sent += 1;
                    }
                    sent
                }
            });
            let readers: Vec<_> = (0..4)
                .map(|_| {
                    let path = at.join("file");
                    thread::spawn(move || {
                        for _ in 0..50 {
                            assert_eq!(fs::read(&path).expect("a file"), vec![b'n'; 20_000]);
                        }
                    })
                })
                .collect();
            for reader in readers {
                reader.join().expect("a reader is not stopped");
            }
            stop.store(true, Ordering::Relaxed);
            eventually(SOON, "the notifier is not stopped", || notifies.is_finished());
            session.umount_and_join().expect("a clean end");
        }
    });
}

#[test]
fn interrupts_leave_nothing_open_and_nobody_waiting() {
    alone(Duration::from_secs(120), || {
        sys::catch(libc::SIGUSR1).expect("a handler");
        for engine in Engine::all() {
            let slow = Duration::from_millis(3);
            let mounted = Mounted::new(ProbeOptions { slow, ..ProbeOptions::default() }, &engine);
            let stop = Arc::new(AtomicBool::new(false));
            let callers: Vec<_> = (0..8)
                .map(|i| {
                    let (stop, at) = (stop.clone(), mounted.at.path().to_owned());
                    thread::spawn(move || {
                        let mut interrupted = 0;
                        while !stop.load(Ordering::Relaxed) {
                            let name = ["slow-open", "slow", "direct", "many"][i % 4];
                            // The standard library tries again after most interrupts.
                            let used = nix::fcntl::open(
                                &at.join(name),
                                nix::fcntl::OFlag::O_RDONLY,
                                nix::sys::stat::Mode::empty(),
                            );
                            let used = used.and_then(|fd| match name {
                                "many" => Ok(0),
                                _ => nix::unistd::read(&fd, &mut [0; 100]),
                            });
                            match used {
                                Ok(_) => {}
                                Err(nix::errno::Errno::EINTR) => interrupted += 1,
                                Err(error) => panic!("{name}: {error}"),
                            }
                        }
                        interrupted
                    })
                })
                .collect();
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(1200) {
                sys::signal_other_threads(libc::SIGUSR1);
                thread::sleep(Duration::from_micros(300));
            }
            stop.store(true, Ordering::Relaxed);
            let mut interrupted = 0;
            for caller in callers {
                interrupted += caller.join().expect("no panic");
            }
            assert!(interrupted > 0 || engine.workers.is_none(), "{engine:?}");
            mounted.watch.wait_until_all_is_released();
            eventually(SOON, "no method runs", || mounted.watch.running() == 0);
            let Mounted { session, watch, at } = mounted;
            session.umount_and_join().expect("a clean end");
            watch.assert_ended_well();
            assert!(!at.is_mounted());
        }
    });
}

#[test]
fn the_kernel_takes_back_every_lookup_it_made() {
    within(MINUTE, || {
        for engine in Engine::all() {
            let options = ProbeOptions {
                entries: 200,
                ttl: Duration::from_secs(60),
                ..ProbeOptions::default()
            };
            let mounted = Mounted::new(options, &engine);
            let users: Vec<_> = (0..4)
                .map(|_| {
                    let many = mounted.join("many");
                    thread::spawn(move || {
                        for round in 0..300 {
                            let _ = fs::metadata(many.join(format!("entry-{:05}", round % 200)));
                            if round % 100 == 0 {
                                fs::write("/proc/sys/vm/drop_caches", "2").expect("root may");
                            }
                        }
                    })
                })
                .collect();
            users.into_iter().for_each(|user| user.join().expect("no panic"));
            assert!(mounted.watch.calls("lookup") > 200);
            eventually(Duration::from_secs(20), "all is forgotten", || {
                fs::write("/proc/sys/vm/drop_caches", "2").expect("root may");
                thread::sleep(Duration::from_millis(10));
                mounted.watch.remembered() == 0
            });
            mounted.session.umount_and_join().expect("a clean end");
        }
    });
}

#[test]
fn a_signal_that_is_listened_for_unmounts() {
    within(MINUTE, || {
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            for engine in ASYNC_ENGINES {
                let at = Mountpoint::new();
                let mut server = daemon(&at, &[&["--signals"], *engine].concat());
                fs::read(at.join("plain")).expect("a file");
                server.signal(signal);
                let ended = server.wait(Duration::from_secs(20));
                assert!(ended.succeeded() && ended.stdout.contains("ended well"), "{ended:?}");
                assert!(!at.is_mounted(), "{signal}");
            }
        }
    });
}

#[test]
fn a_signal_under_load_ends_a_server_well() {
    within(MINUTE, || {
        for engine in ASYNC_ENGINES {
            let at = Mountpoint::new();
            let mut server = daemon(&at, &[&["--signals", "--drain", "200"], *engine].concat());
            let load = Load::on(at.path());
            let stuck = reading(at.join("stuck"));
            thread::sleep(Duration::from_millis(100));
            server.signal(Signal::SIGTERM);
            assert_errno(load.cut_off(), &[CUT_OFF, &[libc::ENOENT]].concat());
            let ended = server.wait(Duration::from_secs(30));
            assert!(ended.succeeded() && ended.stdout.contains("ended well"), "{ended:?}");
            assert_errno(stuck.join().expect("no panic"), CUT_OFF);
            assert!(!at.is_mounted());
        }
    });
}

/// Threads that wait in a read need the control filesystem, which is where most systems have it.
#[test]
fn an_ordinary_users_session_ends_while_a_file_is_open() {
    for engine in ASYNC_ENGINES {
        let ran = access::as_nobody(
            "",
            &format!(
                "mount -t fusectl none /sys/fs/fuse/connections
                 start --signals --drain 200 {}
                 setpriv --reuid=65534 --regid=65534 --clear-groups \
                     sh -c 'exec 3<\"$0/direct\"; echo open; sleep 100' \"$at\" > \"$beside/user\" &
                 user=$!
                 while ! grep -q open \"$beside/user\"; do sleep 0.01; done
                 kill -TERM $daemon
                 wait $daemon; echo \"ended with $?\"
                 kill $user",
                engine.join(" ")
            ),
        );
        assert!(ran.stdout.contains("ended with 0"), "{engine:?}: {ran:?}");
        assert!(ran.stdout.contains("ended well"), "{engine:?}: {ran:?}");
    }
}

/// As in a program that has used up what it may have: what needs nothing new goes on.
#[test]
fn a_server_without_descriptors_threads_or_memory_to_spare_goes_on() {
    // Kilobytes: for the stacks of the threads that a session ends by, which Rust aborts without.
    const ROOM: u64 = 24 << 10;
    within(Duration::from_secs(120), || {
        for engine in processes::ENGINES {
            for limit in ["--nofile=3", "--nproc=1", "--as"] {
                // Each further thread takes room of its own at a time of its own, and Rust aborts a
                // program that has none for a small allocation: nothing can be promised there.
                if limit == "--as" && engine.iter().any(|&arg| arg == "--threads" || arg == "two") {
                    continue;
                }
                let at = Mountpoint::new();
                let mut server = daemon(&at, engine);
                // What it uses each time it has by now.
                fs::read(at.join("direct")).expect("a file");
                let limit = match limit {
                    "--as" => format!("--as={}", (virtual_memory(server.pid()) + ROOM) << 10),
                    _ => limit.to_owned(),
                };
                run("prlimit").arg(format!("--pid={}", server.pid())).arg(&limit).ok();
                for _ in 0..50 {
                    let mut file = File::options().read(true).write(true).open(at.join("direct"));
                    let file = file.as_mut().expect("a file");
                    read_on(file).expect("it goes on");
                    io::Write::write(file, b"more").expect("it goes on");
                    fs::read_dir(at.join("many")).expect("a listing").for_each(drop);
                }
                run("umount").arg(at.path()).ok();
                let ended = server.wait(Duration::from_secs(30));
                // Ending needs a thread, which root is not refused.
                assert!(ended.stdout.contains("ended well"), "{engine:?} {limit}: {ended:?}");
            }
        }
    });
}

#[test]
fn what_a_method_cannot_have_is_its_callers_error_and_nobody_elses() {
    within(MINUTE, || {
        let backing = tempfile::NamedTempFile::new().expect("a file");
        for engine in processes::ENGINES {
            let at = Mountpoint::new();
            let path = backing.path().to_string_lossy();
            let mut server = daemon(&at, &[&["--backing", &path], *engine].concat());
            // All readers have their descriptors when the first one serves.
            fs::read(at.join("plain")).expect("a file");
            run("prlimit").arg(format!("--pid={}", server.pid())).arg("--nofile=3:").ok();
            for _ in 0..10 {
                assert_errno(File::open(at.join("backed")), &[libc::EMFILE]);
                fs::read(at.join("plain")).expect("it goes on");
            }
            run("prlimit").arg(format!("--pid={}", server.pid())).arg("--nofile=100:").ok();
            File::open(at.join("backed")).expect("there is room again");
            run("umount").arg(at.path()).ok();
            let ended = server.wait(Duration::from_secs(30));
            assert!(ended.stdout.contains("ended well"), "{engine:?}: {ended:?}");
        }
    });
}

/// Root is not refused any.
#[test]
fn a_server_that_is_refused_threads_goes_on() {
    for (engine, later) in [
        ("", "Input/output error"),
        ("--threads 4", "Input/output error"),
        ("--async current", "what a probe has"),
        ("--async two", "what a probe has"),
        ("--async two --threads 4", "what a probe has"),
    ] {
        let ran = access::as_nobody(
            "",
            &format!(
                "start --acl owner {engine}
                 as='setpriv --reuid=65534 --regid=65534 --clear-groups'
                 $as cat \"$at/plain\" > /dev/null
                 $as prlimit --pid $daemon --nproc=1:
                 $as sh -c 'for i in 1 2 3 4 5; do
                     read line 2>&1 < \"$0/later\" && echo \"later: $line\" || echo \"later: Input/output error\"
                     read line < \"$0/plain\" && echo \"plain: $line\"
                 done' \"$at\"
                 $as fusermount3 -u \"$at\"
                 wait $daemon"
            ),
        );
        let count = |what: &str| ran.stdout.lines().filter(|line| line.contains(what)).count();
        assert_eq!(count(&format!("later: {later}")), 5, "{engine}: {ran:?}");
        assert_eq!(count("plain: what a probe has"), 5, "{engine}: {ran:?}");
        assert!(ran.stdout.contains("ended well"), "{engine}: {ran:?}");
    }
}

#[test]
fn readers_that_cannot_be_had_are_an_error_that_leaves_nothing() {
    within(MINUTE, || {
        for engine in ["current", "two"] {
            // Without descriptors for the runtime, the mount, or all of the readers.
            for room in 4..18 {
                let at = Mountpoint::new();
                let mut server = run("prlimit")
                    .arg(format!("--nofile={room}"))
                    .arg(helper("probe_daemon"))
                    .arg(at.path())
                    .args(["--async", engine, "--threads", "32"])
                    .start();
                let ended = server.wait(Duration::from_secs(30));
                assert!(!ended.succeeded(), "{ended:?}");
                assert!(ended.stderr.contains("Too many open files"), "{room}: {ended:?}");
                assert!(!at.is_mounted(), "{room}: {:?}", at.mounts());
            }
        }
    });
}

const ASYNC_ENGINES: &[&[&str]] =
    &[&["--async", "current"], &["--async", "two"], &["--async", "two", "--threads", "4"]];

/// Kilobytes.
fn virtual_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("its size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

async fn eventually_async(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "{what}: not in time");
        sleep(Duration::from_millis(2)).await;
    }
}

/// A probe on an engine that gives requests so much time at the end.
fn drained(engine: &Engine, drain: Duration, at: &Mountpoint) -> (Serving, Watch) {
    let (probe, watch) = AsyncProbe::new(ProbeOptions::default());
    let mut config = engine.config.clone();
    config.busy_grace = Some(Duration::from_millis(100));
    let builder = AsyncSessionBuilder::new(probe).config(&config).drain(drain);
    let workers = engine.workers.expect("it has a runtime");
    let session = Serving::of(builder, workers, at).expect("a mount");
    at.connection();
    (session, watch)
}
