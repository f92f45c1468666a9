use async_fuser::{fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn destroy(&mut self, req: u64) {
        let _ = req;
    }
}

fn main() {}
