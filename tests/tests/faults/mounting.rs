//! Mounts that cannot be, and mounts with hostile names and options.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use async_fuser::lib_async::AsyncSessionBuilder;
use async_fuser::*;
use tests::{AsyncProbe, Engine, Mountpoint, Probe, ProbeOptions, Workers, within};

use crate::*;

#[test]
fn a_mount_that_cannot_be_is_an_error_that_says_why() {
    use MountOption::{AutoUnmount, CUSTOM, FSName, RO, RW, Subtype};

    let at = Mountpoint::new();
    let file = at.beside().join("file");
    fs::write(&file, "").expect("a file");
    let missing = at.beside().join("missing");
    let below_file = file.join("x");
    let here = at.path();
    let cases: &[(&Path, &[MountOption], ErrorKind, &[&str])] = &[
        (&missing, &[], ErrorKind::NotFound, &["missing", "create the directory"]),
        (Path::new(""), &[], ErrorKind::NotFound, &["cannot mount on"]),
        (&below_file, &[], ErrorKind::NotADirectory, &["file/x", "not a directory"]),
        (Path::new("/dev/null/x"), &[], ErrorKind::NotADirectory, &["/dev/null/x"]),
        (Path::new("/tmp/\0"), &[], ErrorKind::InvalidInput, &["cannot mount on"]),
        (Path::new("/dev/fd/4000"), &[], ErrorKind::Other, &["/dev/fd/4000"]),
        (here, &[RO, RW], ErrorKind::InvalidInput, &["'ro'", "'rw'", "leave one out"]),
        (here, &[AutoUnmount], ErrorKind::InvalidInput, &["auto_unmount", "SessionACL"]),
        (here, &[CUSTOM("no_such".into())], ErrorKind::InvalidInput, &["no_such", "mnt"]),
        (here, &[CUSTOM("a,b".into())], ErrorKind::InvalidInput, &["a,b", "on its own"]),
        (here, &[CUSTOM("a\\b".into())], ErrorKind::InvalidInput, &["backslash"]),
        (here, &[CUSTOM("fd=0".into())], ErrorKind::InvalidInput, &["descriptor"]),
        (here, &[CUSTOM(String::new())], ErrorKind::InvalidInput, &["empty"]),
        (here, &[FSName("a\0b".into())], ErrorKind::InvalidInput, &["NUL"]),
        (here, &[Subtype("a\0b".into())], ErrorKind::InvalidInput, &["NUL"]),
        (here, &[Subtype("a,b".into())], ErrorKind::InvalidInput, &["comma"]),
        (here, &[CUSTOM("x".repeat(5000))], ErrorKind::InvalidInput, &["bytes long"]),
    ];
    for (mountpoint, options, kind, words) in cases {
        let what = format!("{} with {options:.60?}", mountpoint.display());
        let begun = Instant::now();
        let (mountpoint, options) = (mountpoint.to_path_buf(), options.to_vec());
        let error = within(Duration::from_secs(20), move || {
            let errors = Engine::few().into_iter().map(|mut engine| {
                engine.config.mount_options = options.clone();
                let (session, watch) = engine.spawn(ProbeOptions::default(), &mountpoint);
                assert_eq!(watch.calls("init"), 0);
                session.expect_err("it cannot be mounted")
            });
            let errors: Vec<_> = errors.collect();
            // How long options are depends on the number of a descriptor.
            let without_numbers =
                |error: &io::Error| error.to_string().replace(|c: char| c.is_ascii_digit(), "");
            let told: Vec<_> =
                errors.iter().map(|error| (error.kind(), without_numbers(error))).collect();
            assert!(told.iter().all(|it| *it == told[0]), "{told:?}");
            errors.into_iter().next().expect("an error")
        });
        assert!(begun.elapsed() < Duration::from_secs(5), "{what}: {:?}", begun.elapsed());
        // This one has no stable name.
        if *kind != ErrorKind::Other {
            assert_eq!(error.kind(), *kind, "{what}: {error}");
        }
        for word in *words {
            assert!(error.to_string().contains(word), "{what}: no {word:?} in: {error}");
        }
    }
    assert!(!at.is_mounted(), "{:?}", at.mounts());
}

#[test]
fn a_descriptor_that_is_no_connection_is_an_error() {
    within(MINUTE, || {
        let file = fs::File::open("/dev/null").expect("/dev/null");
        let (probe, watch) = Probe::new(ProbeOptions::default());
        let session =
            Session::from_fd(probe, file.into(), SessionACL::All, Config::default()).map(drop);
        session.expect_err("it is not the device");
        let device =
            fs::File::options().read(true).write(true).open("/dev/fuse").expect("a device");
        let (probe, _) = Probe::new(ProbeOptions::default());
        Session::from_fd(probe, device.into(), SessionACL::All, Config::default())
            .map(drop)
            .expect_err("it is not mounted");
        assert_eq!(watch.calls("init"), 0);

        for path in ["/dev/null", "/dev/fuse"] {
            let (probe, watch) = AsyncProbe::new(ProbeOptions::default());
            let device = fs::File::options().read(true).write(true).open(path).expect("a device");
            let runtime = Workers::Current.runtime();
            let session = runtime.block_on(AsyncSessionBuilder::new(probe).from_fd(device.into()));
            session.map(drop).expect_err("it is no connection");
            assert_eq!(watch.calls("init"), 0);
        }
    });
}

#[test]
fn a_mountpoint_may_have_any_name() {
    within(MINUTE, || {
        let names: &[&[u8]] = &[
            b" ",
            b"a b",
            b"tab\there",
            b"line\nend",
            b"back\\slash",
            b"\\040",
            b"a,b",
            b"fsname=x,allow_other",
            b"-o",
            b"--help",
            b"#",
            b"=",
            b"'",
            b"\"",
            b"$HOME",
            b"%s",
            b"\xff\xfe",
            "\u{fc}n\u{ef}".as_bytes(),
            &[b'x'; 255],
        ];
        for name in names {
            for acl in [SessionACL::Owner, SessionACL::All] {
                let at = Mountpoint::named(OsStr::from_bytes(name));
                let (probe, watch) = Probe::new(ProbeOptions::default());
                let mut config = with_acl(acl);
                if acl == SessionACL::All {
                    // Through the helper.
                    config.mount_options.push(MountOption::AutoUnmount);
                }
                let session = spawn_mount(probe, &at, &config).expect("a mount");
                let mounts = at.mounts();
                assert_eq!(mounts.len(), 1, "{name:?}: {mounts:?}");
                assert_eq!(mounts[0].has("allow_other"), acl == SessionACL::All, "{name:?}");
                fs::read(at.join("plain")).expect("a file");
                session.umount_and_join().expect("a clean end");
                assert!(!at.is_mounted(), "{name:?}");
                watch.assert_ended_well();
            }
        }
    });
}

#[test]
fn no_value_of_an_option_becomes_another_option() {
    use MountOption::{AutoUnmount, FSName, RO, Subtype};

    within(MINUTE, || {
        let values = [
            "plain",
            "a,b",
            "x,allow_other",
            "x,suid,dev",
            "x\\,dev",
            "x\\",
            "\\",
            ",",
            "x,fd=0",
            "x user_id=1",
            "rw,user=root",
            "#",
            "a b\tc",
        ];
        for value in values {
            for helped in [false, true] {
                let at = Mountpoint::new();
                let (probe, _) = Probe::new(ProbeOptions::default());
                let mut config = with_acl(if helped { SessionACL::All } else { SessionACL::Owner });
                config.mount_options = vec![FSName(value.into()), Subtype("kind".into()), RO];
                if helped {
                    config.mount_options.push(AutoUnmount);
                }
                let session = spawn_mount(probe, &at, &config)
                    .unwrap_or_else(|error| panic!("{value:?}, helped: {helped}: {error}"));
                let mount = at.mounts().pop().expect("a mount");
                assert_eq!(mount.source, value, "helped: {helped}");
                assert_eq!(mount.kind, "fuse.kind");
                assert!(mount.has("ro") && mount.has("nosuid") && mount.has("nodev"), "{mount:?}");
                assert_eq!(mount.has("allow_other"), helped, "{mount:?}");
                assert!(mount.has("user_id=0"), "{mount:?}");
                session.umount_and_join().expect("a clean end");
            }
        }
    });
}

#[test]
fn options_are_those_of_the_mount() {
    use MountOption::{
        Async, Atime, CUSTOM, DefaultPermissions, Dev, DirSync, Exec, NoAtime, NoDev, NoExec,
        NoSuid, RO, RW, Suid, Sync,
    };

    within(MINUTE, || {
        let cases: &[(&[MountOption], &[&str], &[&str])] = &[
            (&[], &["rw", "nosuid", "nodev", "relatime"], &["noexec", "sync", "allow_other"]),
            (&[RO, NoExec, NoAtime, Sync, DirSync], &["ro", "noexec", "noatime", "sync"], &["rw"]),
            (&[RW, Exec, Atime, Async, NoDev, NoSuid], &["rw", "nosuid", "nodev"], &["sync"]),
            (&[Dev, Suid], &["rw"], &["nodev", "nosuid"]),
            (&[DefaultPermissions], &["default_permissions"], &[]),
            (&[CUSTOM("max_read=8192".into())], &["max_read=8192"], &[]),
        ];
        for (options, expected, absent) in cases {
            let at = Mountpoint::new();
            let (probe, _) = Probe::new(ProbeOptions::default());
            let mut config = Config::default();
            config.mount_options = options.to_vec();
            let session = spawn_mount(probe, &at, &config).expect("a mount");
            let mount = at.mounts().pop().expect("a mount");
            for option in *expected {
                assert!(mount.has(option), "{options:?}: no {option} in {mount:?}");
            }
            for option in *absent {
                assert!(!mount.has(option), "{options:?}: {option} in {mount:?}");
            }
            session.umount_and_join().expect("a clean end");
        }
    });
}

#[test]
fn a_link_is_followed_once_when_it_is_mounted_on() {
    within(MINUTE, || {
        let at = Mountpoint::new();
        let link = at.beside().join("link");
        std::os::unix::fs::symlink(at.path(), &link).expect("a link");
        let (probe, watch) = Probe::new(ProbeOptions::default());
        let session = spawn_mount(probe, &link, &Config::default()).expect("a mount");
        assert!(at.is_mounted(), "where the link points");
        // Where the link points by now is nobody's business.
        fs::remove_file(&link).expect("the link goes");
        std::os::unix::fs::symlink("/", &link).expect("another link");
        drop(session);
        assert!(!at.is_mounted());
        watch.assert_ended_well();
    });
}
