//! A block that comes out of a macro of the program's own.

use async_fuser::{AsyncFilesystem, Errno, FileAttr, fuse_filesystem};

macro_rules! filesystem {
    ($name:ident, $this:ty, $error:expr, $operation:ident($param:ident: $type:ty) -> $answer:ty) => {
        struct $name;

        #[fuse_filesystem]
        impl $this {
            async fn $operation(&self, $param: $type) -> $answer {
                let _ = $param;
                $error
            }

            fn readlink(&self) -> Result<String, Errno> {
                let this = self;
                this.target()
            }
        }

        impl $name {
            fn target(&self) -> Result<String, Errno> {
                Ok(stringify!($name).to_owned())
            }
        }
    };
}

filesystem!(One, One, Err(Errno::ENOENT), lookup(name: &str) -> Result<FileAttr, Errno>);
filesystem!(Two, Two, Ok(()), unlink(parent: u64) -> Result<(), Errno>);

fn main() {
    assert!(One::OPERATIONS.contains("lookup") && Two::OPERATIONS.contains("unlink"));
}
