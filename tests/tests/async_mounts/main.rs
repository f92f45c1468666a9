//! The asynchronous engine on real mounts: callers that are interrupted where they wait, and news for
//! the kernel.

#![cfg(target_os = "linux")]

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fs, io};

use async_fuser::lib_async::{
    AsyncFilesystem, AsyncSessionBuilder, Attr, Data, Entry, Listing, Result, Serve, SessionHandle,
};
use async_fuser::op::Opcode;
use async_fuser::{Config, Errno, FileType, INodeNo, op};
use tests::{Mountpoint, eventually, within};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::sleep;

mod interrupts;
mod notifications;

#[test]
fn a_filesystem_whose_methods_wait_is_served_to_its_end() {
    /// One file, and a note when it is over.
    struct Slow(mpsc::Sender<&'static str>);

    const FILE: INodeNo = INodeNo(2);
    const TEXT: &[u8] = b"Hello!\n";
    const A_MOMENT: Duration = Duration::from_millis(5);

    fn attr(ino: INodeNo) -> Attr {
        let attr = match ino {
            INodeNo::ROOT => examples::attr(ino, FileType::Directory, 0o755, 0),
            ino => examples::attr(ino, FileType::RegularFile, 0o644, TEXT.len() as u64),
        };
        Attr::new(attr, Duration::ZERO)
    }

    impl AsyncFilesystem for Slow {
        async fn lookup(&self, op: op::Lookup<'_>) -> Result<Entry> {
            sleep(A_MOMENT).await;
            if op.name != "hello" {
                return Err(Errno::ENOENT);
            }
            let attr = examples::attr(FILE, FileType::RegularFile, 0o644, TEXT.len() as u64);
            Ok(Entry::new(attr, Duration::ZERO))
        }

        async fn getattr(&self, op: op::Getattr<'_>) -> Result<Attr> {
            sleep(A_MOMENT).await;
            Ok(attr(op.ino))
        }

        async fn read(&self, op: op::Read<'_>) -> Result<Data<'_>> {
            sleep(A_MOMENT).await;
            Ok(Data::from(examples::part(TEXT, op.offset, op.size)))
        }

        async fn readdir(&self, op: op::Readdir<'_>) -> Result<Listing> {
            let mut listing = Listing::new(&op);
            sleep(A_MOMENT).await;
            if op.offset == 0 {
                let _is_full = listing.add(FILE, 1, FileType::RegularFile, "hello");
            }
            Ok(listing)
        }

        async fn destroy(&mut self) {
            sleep(A_MOMENT).await;
            self.0.send("destroyed").expect("the test waits for it");
        }
    }

    within(LONG, || {
        for way in WAYS {
            let (sender, said) = mpsc::channel();
            let served = Served::new(way, AsyncSessionBuilder::new(Slow(sender)));
            assert_eq!(fs::read(served.mountpoint.join("hello")).expect("a file"), TEXT);
            let entries = fs::read_dir(&served.mountpoint).expect("a directory");
            let names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
            assert_eq!(names, ["hello"]);
            let missing = fs::read(served.mountpoint.join("none")).expect_err("there is none");
            assert_eq!(missing.kind(), io::ErrorKind::NotFound);
            served.end();
            assert_eq!(said.iter().collect::<Vec<_>>(), ["destroyed"], "{way:?}");
        }
    });
}

/// A runtime, and how many readers there are.
#[derive(Clone, Copy, Debug)]
struct Way {
    has_threads: bool,
    readers: usize,
}

const WAYS: [Way; 4] = [
    Way { has_threads: false, readers: 1 },
    Way { has_threads: false, readers: 3 },
    Way { has_threads: true, readers: 1 },
    Way { has_threads: true, readers: 3 },
];

impl Way {
    fn runtime(self) -> Runtime {
        let mut builder = if self.has_threads {
            Builder::new_multi_thread()
        } else {
            Builder::new_current_thread()
        };
        builder.worker_threads(2).enable_all().build().expect("a runtime")
    }
}

/// A filesystem that is mounted, and served by a runtime on a thread of its own.
struct Served {
    mountpoint: Mountpoint,
    handle: SessionHandle,
    runtime: Handle,
    serving: JoinHandle<io::Result<()>>,
}

impl Served {
    #[track_caller]
    fn new<S: Serve>(way: Way, builder: AsyncSessionBuilder<S>) -> Self {
        let mountpoint = Mountpoint::new();
        let path = mountpoint.path().to_owned();
        let mut config = Config::default();
        config.n_threads = Some(way.readers);
        let builder = builder.config(&config);
        let (sender, begun) = mpsc::channel();
        let serving = thread::spawn(move || {
            way.runtime().block_on(async {
                let session = builder.mount(path).await?;
                let begun = (session.handle(), Handle::current());
                sender.send(begun).map_err(io::Error::other)?;
                session.run().await
            })
        });
        let Ok((handle, runtime)) = begun.recv() else {
            panic!("it is not mounted: {:?}", serving.join())
        };
        Self { mountpoint, handle, runtime, serving }
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Waits until such a request waits for its answer.
    #[track_caller]
    fn wait_for(&self, opcode: Opcode) {
        let waits = || self.handle.in_flight().iter().any(|asked| asked.operation() == opcode);
        eventually(SOON, &format!("{opcode:?} waits"), waits);
    }

    /// Waits until none does.
    #[track_caller]
    fn wait_for_none(&self) {
        eventually(SOON, "nothing waits", || self.handle.in_flight().is_empty());
    }

    /// Unmounts it: nothing is left, and the session has ended well.
    #[track_caller]
    fn end(self) {
        self.block_on(self.handle.unmount()).expect("it is unmounted");
        self.serving.join().expect("no panic").expect("it has ended well");
        assert!(!self.mountpoint.is_mounted());
    }
}

const SOON: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(120);
