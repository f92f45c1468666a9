use async_fuser::lib_async::Listing;
use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn readdirplus(&self, listing: &mut Listing) -> Result<(), Errno> {
        let _ = listing;
        Ok(())
    }
}

fn main() {}
