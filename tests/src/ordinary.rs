use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::{NOBODY, Run, Running, example, require_fuse, run};

/// A view of the machine in which an ordinary user may open `/dev/fuse`, as on most machines, and
/// in which whatever is mounted is gone with the last process.
#[derive(Debug)]
pub struct Ordinary {
    /// Keeps the mount namespace.
    holder: Running,
    /// A directory of the user's own.
    pub home: PathBuf,
    /// The examples, where the user can get at them.
    pub programs: PathBuf,
    _base: TempDir,
}

impl Ordinary {
    /// Makes one. Panics where root may make no mount namespace and no device node.
    #[track_caller]
    #[allow(clippy::new_without_default, reason = "it starts a process")]
    pub fn new() -> Self {
        require_fuse();
        let base = tempfile::Builder::new()
            .prefix("async-fuser-ordinary-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .expect("a temporary directory");
        let [home, programs, device] =
            ["home", "programs", "dev"].map(|name| base.path().join(name));
        for directory in [&home, &programs, &device] {
            fs::create_dir(directory).expect("a directory");
            fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("its mode");
        }
        chown(&home, Some(NOBODY), Some(NOBODY)).expect("its owner");
        // A namespace begins with a copy of every mount, which would keep those of other tests alive.
        let script = "grep -E ' fuse[. ]' /proc/mounts | cut -d' ' -f2 | xargs -r umount -l; \
            mount -t tmpfs -o mode=755 none \"$0\" \
            && mknod -m 666 \"$0/fuse\" c 10 229 && mount --bind \"$0/fuse\" /dev/fuse \
            && mount --bind \"$1\" \"$2\" && echo ready && exec sleep 600";
        let built = example("hello");
        let mut holder = run("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .arg(&device)
            .arg(built.parent().expect("a program is in a directory"))
            .arg(&programs)
            .start();
        holder.wait_for("ready", Duration::from_secs(10));
        Self { holder, home, programs, _base: base }
    }

    /// Runs a program in it, as the user.
    #[track_caller]
    pub fn run(&self, program: impl AsRef<Path>) -> Run {
        run("nsenter")
            .arg(format!("--mount=/proc/{}/ns/mnt", self.holder.pid()))
            .arg("setpriv")
            .args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")])
            .args(["--clear-groups", "--"])
            .arg(program.as_ref())
    }
}
