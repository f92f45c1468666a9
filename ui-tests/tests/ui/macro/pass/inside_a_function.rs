//! A block may be anywhere that an `impl` may be.

use async_fuser::{AsyncFilesystem, Errno, fuse_filesystem};

fn filesystem() -> impl AsyncFilesystem {
    struct Local;

    #[fuse_filesystem]
    impl Local {
        async fn read(&self) -> Result<&str, Errno> {
            Ok("local")
        }
    }

    Local
}

const _: () = {
    struct Hidden;

    #[fuse_filesystem]
    impl Hidden {
        async fn read(&self) -> Result<&str, Errno> {
            Ok("hidden")
        }
    }
};

fn main() {
    let _filesystem = filesystem();
}
