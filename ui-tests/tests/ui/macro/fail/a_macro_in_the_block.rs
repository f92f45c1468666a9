use async_fuser::{Errno, fuse_filesystem};

struct Files;

macro_rules! answers {
    ($($name:ident)*) => { $(
        async fn $name(&self) -> Result<(), Errno> {
            Ok(())
        }
    )* };
}

#[fuse_filesystem]
impl Files {
    answers!(unlink);
}

fn main() {}
