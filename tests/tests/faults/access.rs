//! Who may use a mount.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use async_fuser::*;
use tests::{MountLine, Mountpoint, Ran, helper, run, within};

use crate::*;

#[test]
fn each_rule_lets_the_right_users_in() {
    within(MINUTE, || {
        for (acl, nobody_may) in
            [(SessionACL::Owner, false), (SessionACL::RootAndOwner, false), (SessionACL::All, true)]
        {
            for engine in Engine::all() {
                let mut engine = engine;
                engine.config.acl = acl;
                let mounted = Mounted::new(tests::ProbeOptions::default(), &engine);
                let mount: MountLine = mounted.at.mounts().pop().expect("a mount");
                assert_eq!(mount.has("allow_other"), acl != SessionACL::Owner, "{acl:?}");
                for user in [tests::NOBODY, 1234] {
                    let uses: [(&str, &[&str]); 4] =
                        [("ls", &[]), ("cat", &["plain"]), ("stat", &["plain"]), ("df", &[])];
                    for (program, names) in uses {
                        let paths = names.iter().map(|name| mounted.join(name));
                        let at = names.is_empty().then(|| mounted.at.path().to_owned());
                        let ran = run(program).args(paths.chain(at)).as_user(user, user).output();
                        // df shows what it may not look at with no sizes.
                        if program != "df" || nobody_may {
                            assert_eq!(ran.succeeded(), nobody_may, "{acl:?}: {program}: {ran:?}");
                        }
                        if !nobody_may && program != "df" {
                            assert!(ran.stderr.contains("Permission denied"), "{acl:?}: {ran:?}");
                        }
                    }
                }
                run("cat").arg(mounted.join("plain")).ok();
                // What nobody may not do has never reached the filesystem.
                let strangers =
                    |method| mounted.watch.callers(method).into_iter().any(|user| user != 0);
                assert_eq!(strangers("open"), nobody_may, "{acl:?}");
                assert_eq!(strangers("lookup"), nobody_may, "{acl:?}");
                mounted.watch.wait_until_all_is_released();
                mounted.session.umount_and_join().expect("a clean end");
                mounted.watch.assert_ended_well();
            }
        }
    });
}

#[test]
fn an_open_file_may_be_passed_on_to_anybody() {
    within(MINUTE, || {
        for acl in [SessionACL::Owner, SessionACL::RootAndOwner, SessionACL::All] {
            let mounted = Mounted::new(tests::ProbeOptions::default(), &with_acl(acl));
            // The shell opens the files as root, and what it runs as nobody only has them open.
            let script = "exec 3<\"$0/direct\" 4>>\"$0/plain\" && exec \
                setpriv --reuid=65534 --regid=65534 --clear-groups -- \
                sh -c 'read line <&3 && echo \"$line\" && echo more >&4'";
            let ran = run("sh").args(["-c", script]).arg(mounted.at.path()).ok();
            assert_eq!(ran.stdout, "what a probe has in its files\n", "{acl:?}");
            let plain = fs::read_to_string(mounted.join("plain")).expect("a file");
            assert!(plain.ends_with("files\nmore\n"), "{acl:?}: {plain:?}");
            assert!(mounted.watch.callers("read").contains(&tests::NOBODY), "{acl:?}");
            // Nobody's releases count.
            mounted.watch.wait_until_all_is_released();
            mounted.session.umount_and_join().expect("a clean end");
        }
    });
}

#[test]
fn an_owner_other_than_root_has_the_same_rules() {
    let others = "user_allow_other\n";
    let (refused, cat) = ("Permission denied", "what a probe has");
    // Each as owner (nobody), as root, and as somebody else.
    for (acl, expected) in [
        ("owner", [cat, refused, refused]),
        ("root", [cat, cat, refused]),
        ("all", [cat, cat, cat]),
    ] {
        let ran = as_nobody(
            others,
            &format!(
                "start --acl {acl}
                 cat=\"cat $at/plain\"
                 echo \"owner: $(setpriv --reuid=65534 --regid=65534 --clear-groups $cat 2>&1)\"
                 echo \"root: $($cat 2>&1)\"
                 echo \"other: $(setpriv --reuid=1234 --regid=1234 --clear-groups $cat 2>&1)\"
                 setpriv --reuid=65534 --regid=65534 --clear-groups fusermount3 -u $at
                 wait"
            ),
        );
        for (who, expected) in ["owner: ", "root: ", "other: "].into_iter().zip(expected) {
            let line = ran.stdout.lines().find(|line| line.starts_with(who)).unwrap_or_default();
            assert!(line.contains(expected), "--acl {acl}, {who}: {ran:?}");
        }
        assert!(ran.stdout.contains("ended well"), "--acl {acl}: {ran:?}");
    }
}

#[test]
fn an_ordinary_user_is_told_what_allow_other_takes() {
    let ran = as_nobody("", "start --acl all; wait");
    assert!(!ran.stdout.contains("ready"), "{ran:?}");
    assert!(ran.stderr.contains("add the line 'user_allow_other'"), "{ran:?}");
}

#[test]
fn the_permissions_of_a_fifo_are_the_kernels_only_with_default_permissions() {
    within(MINUTE, || {
        // Opening a FIFO is no request: without the option nobody looks at its mode, which is 0.
        for (option, refused) in [(None, false), (Some(MountOption::DefaultPermissions), true)] {
            let mut config = with_acl(SessionACL::All);
            config.mount_options.extend(option);
            let mounted = Mounted::new(tests::ProbeOptions::default(), &config);
            let ran = run("sh")
                .args(["-c", "exec 3<>\"$0\""])
                .arg(mounted.join("fifo"))
                .as_nobody()
                .output();
            assert_eq!(!ran.succeeded(), refused, "{ran:?}");
            if refused {
                assert!(ran.stderr.contains("Permission denied"), "{ran:?}");
            }
            assert_eq!(mounted.watch.calls("open"), 0);
            mounted.session.umount_and_join().expect("a clean end");
        }
    });
}

/// Runs a script in a mount namespace of its own where ordinary users may mount: `/dev/fuse` is open
/// to all, and `/etc/fuse.conf` says `conf`. In it `start ARGUMENTS` is a daemon of nobody's on
/// `$at`, and has it ready.
pub(crate) fn as_nobody(conf: &str, script: &str) -> Ran {
    tests::require_tool("fusermount3");
    tests::require_tool("setpriv");
    let at = Mountpoint::new();
    nix::unistd::chown(at.path(), Some(65534.into()), Some(65534.into())).expect("nobody's");
    let conf_file = at.beside().join("fuse.conf");
    let mut file = fs::File::create(&conf_file).expect("a file");
    file.write_all(conf.as_bytes()).expect("its contents");
    file.set_permissions(fs::Permissions::from_mode(0o644)).expect("its mode");
    // Programs in a home directory are not everybody's to run.
    let program = at.beside().join("probe_daemon");
    fs::copy(helper("probe_daemon"), &program).expect("a copy");

    let script = format!(
        "set -e
         at=\"$1\"; beside=\"$2\"
         # Copies of other tests' mounts, which would keep their filesystems alive.
         grep -E ' fuse[. ]' /proc/mounts | cut -d' ' -f2 | xargs -r umount -l || true
         mknod -m 666 \"$beside/fuse\" c 10 229
         mount --bind \"$beside/fuse\" /dev/fuse
         test -e /etc/fuse.conf || {{ echo 'no /etc/fuse.conf to be replaced' >&2; exit 9; }}
         mount --bind \"$beside/fuse.conf\" /etc/fuse.conf
         set +e
         start() {{
             setpriv --reuid=65534 --regid=65534 --clear-groups -- \
                 \"$beside/probe_daemon\" \"$at\" \"$@\" > \"$beside/said\" &
             daemon=$!
             while kill -0 $daemon 2>/dev/null && ! grep -q ready \"$beside/said\"; do
                 sleep 0.01
             done
         }}
         {script}
         cat \"$beside/said\""
    );
    run("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"])
        .arg(at.path())
        .arg(at.beside())
        .within(Duration::from_secs(30))
        .output()
}
