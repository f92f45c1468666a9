use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_fuser::lib_async::*;
use async_fuser::{Errno, FopenFlags, INodeNo, KernelConfig, Request, op};
use tokio::time::sleep;

use crate::probe::*;

/// A [`Probe`] whose methods are futures: what is slow sleeps, and what waits lets others go on.
///
/// What the reply of a synchronous method goes through, a task goes through here: the one that
/// should read `panics-later` panics, the one that should read `dropped` is aborted.
#[derive(Clone, Debug)]
pub struct AsyncProbe(Arc<Probe>);

impl AsyncProbe {
    /// The filesystem, and what tells about it.
    pub fn new(options: ProbeOptions) -> (Self, Watch) {
        let (probe, watch) = Probe::new(options);
        (Self(Arc::new(probe)), watch)
    }
}

impl AsyncFilesystem for AsyncProbe {
    async fn init(&mut self, req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let _running = self.0.enter("init", req);
        self.0.configure(config)
    }

    async fn destroy(&mut self) {
        self.0.destroyed();
    }

    async fn lookup(&self, op: op::Lookup<'_>) -> Result<Entry> {
        let _running = self.0.enter("lookup", op.req);
        let attr = self.0.find(op.parent.0, op.name).ok_or(Errno::ENOENT)?;
        self.0.watch.remember();
        Ok(Entry::new(attr, self.0.options.ttl))
    }

    async fn forget(&self, op: op::Forget<'_>) {
        let _running = self.0.enter("forget", op.req);
        self.0.watch.forget(op.nlookup);
    }

    async fn getattr(&self, op: op::Getattr<'_>) -> Result<Attr> {
        let _running = self.0.enter("getattr", op.req);
        let attr = self.0.attr(op.ino.0).ok_or(Errno::ENOENT)?;
        Ok(Attr::new(attr, self.0.options.ttl))
    }

    async fn setattr(&self, op: op::Setattr<'_>) -> Result<Attr> {
        let _running = self.0.enter("setattr", op.req);
        Ok(Attr::new(self.0.cut(op.ino.0, op.size)?, self.0.options.ttl))
    }

    async fn unlink(&self, op: op::Unlink<'_>) -> Result<()> {
        let _running = self.0.enter("unlink", op.req);
        self.0.remove(op.parent.0, op.name)
    }

    async fn rename(&self, op: op::Rename<'_>) -> Result<()> {
        let _running = self.0.enter("rename", op.req);
        Err(Errno::EPERM)
    }

    async fn open(&self, op: op::Open<'_>) -> Result<Opened> {
        let _running = self.0.enter("open", op.req);
        match op.ino.0 {
            SLOW_OPEN => sleep(self.0.options.slow).await,
            HELD => self.0.watch.until_let_go().await,
            BACKED => {
                let (handle, id) = self.0.open_backed(open_backing)?;
                return Ok(Opened::new(handle).with_backing(&id));
            }
            _ => {}
        }
        let (handle, flags) = self.0.opened(op.ino.0);
        Ok(Opened::new(handle).with_flags(flags))
    }

    async fn read(&self, op: op::Read<'_>) -> Result<Data<'_>> {
        let _running = self.0.enter("read", op.req);
        let data = self.0.read(op.ino.0, op.offset, op.size);
        match op.ino.0 {
            SLOW => sleep(self.0.options.slow).await,
            STUCK => self.0.watch.until_let_go().await,
            LATER => {
                let later = tokio::spawn(async {
                    sleep(Duration::from_millis(20)).await;
                    data
                });
                return Ok(Data::from(later.await.map_err(|_| Errno::EIO)?));
            }
            PANICS => panic!("read panics, as it was told to"),
            PANICS_LATER => {
                let panics = tokio::spawn(async {
                    panic!("the task that should read panics, as it was told to")
                });
                return panics.await.map_err(|_| Errno::EIO);
            }
            DROPPED => {
                let waits = tokio::spawn(pending());
                waits.abort();
                return waits.await.map_err(|_| Errno::EIO);
            }
            TOO_MUCH => return Ok(Data::from(vec![b'x'; op.size as usize + 1])),
            _ => {}
        }
        Ok(Data::from(data))
    }

    async fn write(&self, op: op::Write<'_>) -> Result<Written> {
        let _running = self.0.enter("write", op.req);
        if op.ino.0 == SLOW {
            sleep(self.0.options.slow).await;
        }
        Ok(Written(self.0.write(op.ino.0, op.offset, op.data)?.into()))
    }

    async fn release(&self, op: op::Release<'_>) -> Result<()> {
        let _running = self.0.enter("release", op.req);
        self.0.released(op.ino.0, op.fh);
        Ok(())
    }

    async fn opendir(&self, op: op::Opendir<'_>) -> Result<Opened> {
        let _running = self.0.enter("opendir", op.req);
        Ok(Opened::new(self.0.watch.opened(op.ino.0)).with_flags(FopenFlags::empty()))
    }

    async fn readdir(&self, op: op::Readdir<'_>) -> Result<Listing> {
        let _running = self.0.enter("readdir", op.req);
        let mut listing = Listing::new(&op);
        self.0.list(op.ino.0, op.offset, |ino, at, kind, name| {
            listing.add(INodeNo(ino), at, kind, name)
        });
        Ok(listing)
    }

    async fn releasedir(&self, op: op::Releasedir<'_>) -> Result<()> {
        let _running = self.0.enter("releasedir", op.req);
        self.0.released(op.ino.0, op.fh);
        Ok(())
    }

    async fn statfs(&self, op: op::Statfs<'_>) -> Result<Statfs> {
        let _running = self.0.enter("statfs", op.req);
        Ok(Statfs {
            blocks: 1000,
            bfree: 500,
            bavail: 400,
            files: 100,
            ffree: 50,
            bsize: 4096,
            namelen: 255,
            frsize: 4096,
        })
    }

    async fn setxattr(&self, op: op::Setxattr<'_>) -> Result<()> {
        let _running = self.0.enter("setxattr", op.req);
        self.0.setxattr(op.ino.0, op.name, op.value);
        Ok(())
    }

    async fn getxattr(&self, op: op::Getxattr<'_>) -> Result<Xattr<'_>> {
        let _running = self.0.enter("getxattr", op.req);
        Ok(Xattr::new(self.0.getxattr(op.ino.0, op.name)?))
    }

    async fn listxattr(&self, op: op::Listxattr<'_>) -> Result<Xattr<'_>> {
        let _running = self.0.enter("listxattr", op.req);
        Ok(Xattr::new(self.0.listxattr(op.ino.0)))
    }

    async fn removexattr(&self, op: op::Removexattr<'_>) -> Result<()> {
        let _running = self.0.enter("removexattr", op.req);
        self.0.removexattr(op.ino.0, op.name)
    }
}
