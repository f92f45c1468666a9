//! A program written for fuser 0.17: its crate's name, and the functions as they were called then.
use async_fuser as fuser;

use fuser::{BackgroundSession, Config, Filesystem, MountOption, SessionACL};

struct Nothing;
impl Filesystem for Nothing {}

#[allow(dead_code, reason = "that it compiles is the test")]
fn both() -> std::io::Result<BackgroundSession> {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::RO, MountOption::FSName("nothing".to_string())];
    config.acl = SessionACL::All;
    fuser::mount2(Nothing, "/mnt", &config)?;
    fuser::spawn_mount2(Nothing, "/mnt", &config)
}

fn main() {}
