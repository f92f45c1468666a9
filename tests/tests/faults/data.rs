//! Sizes: of writes, reads, listings, attributes; and what a filesystem need not have.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use async_fuser::*;
use tests::{Mountpoint, ProbeOptions, helper, open_files, run, sys, within};

use crate::ending::root;
use crate::*;

#[test]
fn writes_of_every_max_write_arrive_whole() {
    within(MINUTE, || {
        for engine in Engine::few() {
            for max_write in [4096, 4097, 8192, 65_536, 131_072, 1 << 20, (1 << 20) + 1, 16 << 20] {
                let options =
                    ProbeOptions { max_write: Some(max_write), ..ProbeOptions::default() };
                let mounted = Mounted::new(options, &engine);
                let text: Vec<_> = (0..3_000_001).map(|i| (i / 7) as u8).collect();
                for name in ["direct", "plain"] {
                    let mut file =
                        File::options().write(true).open(mounted.join(name)).expect("a file");
                    file.write_all(&text).expect("a write");
                    drop(file);
                    assert!(
                        fs::read(mounted.join(name)).expect("a file") == text,
                        "{name}, {max_write}"
                    );
                }
                let writes = mounted.watch.writes();
                let longest = writes.iter().copied().max().expect("writes");
                assert!(longest <= max_write as usize, "{longest} for {max_write}");
                // As long as it may be, and as the kernel's own limit allows; whole pages.
                let expected = (max_write as usize).min(1 << 20) / 4096 * 4096;
                assert!(longest >= expected, "{longest} for {max_write}");
                mounted.session.umount_and_join().expect("a clean end");
            }
        }
    });
}

#[test]
fn reads_of_every_size_get_what_is_there() {
    within(MINUTE, || {
        for engine in Engine::few() {
            let mounted = Mounted::new(ProbeOptions::default(), &engine);
            let text: Vec<_> = (0..1_100_000).map(|i| (i / 3) as u8).collect();
            fs::write(mounted.join("direct"), &text).expect("a write");
            let file = mounted.open("direct");
            for size in [1, 2, 4095, 4096, 4097, 65_536, 131_072, 1 << 20] {
                for offset in [0, 1, 4095, 99_999, 1_099_998, 1_099_999] {
                    let mut buffer = vec![0; size];
                    let len = file.read_at(&mut buffer, offset).expect("a read");
                    let expected =
                        &text[offset as usize..][..size.min(text.len() - offset as usize)];
                    assert!(buffer[..len] == *expected, "{size} at {offset}: {len}");
                }
            }
            for offset in [1_100_000, 1_100_001, 1 << 40] {
                assert_eq!(file.read_at(&mut [0; 10], offset).expect("a read"), 0, "{offset}");
            }
            assert!(mounted.watch.reads().into_iter().all(|size| size <= 1 << 20));
            drop(file);
            mounted.session.umount_and_join().expect("a clean end");
        }
    });
}

#[test]
fn more_data_than_asked_for_is_eio_and_the_next_read_is_served() {
    within(MINUTE, || {
        for engine in Engine::few() {
            let mounted = Mounted::new(ProbeOptions::default(), &engine);
            for _ in 0..3 {
                let refused = run("head").args(["-c", "1"]).arg(mounted.join("too-much")).output();
                assert!(refused.stderr.contains("Input/output error"), "{refused:?}");
                assert_errno(read_on(&mut mounted.open("too-much")), &[libc::EIO]);
            }
            assert!(read_on(&mut mounted.open("direct")).expect("a read") > 0);
            mounted.watch.wait_until_all_is_released();
            mounted.session.umount_and_join().expect("a clean end");
        }
    });
}

#[test]
fn fifty_thousand_entries_are_listed_once_each() {
    within(MINUTE, || {
        for engine in Engine::few() {
            let mounted =
                Mounted::new(ProbeOptions { entries: 50_000, ..ProbeOptions::default() }, &engine);
            let dir = mounted.open("many");
            for room in [4096, 32_768] {
                sys::rewind(&dir).expect("a seek");
                let mut names = BTreeSet::new();
                loop {
                    let entries = sys::getdents(&dir, room).expect("a listing");
                    if entries.is_empty() {
                        break;
                    }
                    for (name, _) in entries {
                        assert!(names.insert(name.clone()), "{name:?} comes twice");
                    }
                }
                assert_eq!(names.len(), 50_000, "with room for {room}");
            }
            assert_eq!(fs::read_dir(mounted.join("many")).expect("a listing").count(), 50_000);
            drop(dir);
            mounted.session.umount_and_join().expect("a clean end");
        }
    });
}

#[test]
fn a_listing_goes_on_from_every_place_it_told() {
    within(MINUTE, || {
        for engine in Engine::few() {
            let mounted =
                Mounted::new(ProbeOptions { entries: 1000, ..ProbeOptions::default() }, &engine);
            let dir = mounted.open("many");
            let mut listed = Vec::new();
            loop {
                let entries = sys::getdents(&dir, 4096).expect("a listing");
                if entries.is_empty() {
                    break;
                }
                listed.extend(entries);
            }
            assert_eq!(listed.len(), 1000);
            // telldir(3) tells the number behind an entry, and seekdir(3) goes there.
            for (at, (name, next)) in listed.iter().enumerate().rev().step_by(7) {
                sys::seek(&dir, *next).expect("a seek");
                let following = sys::getdents(&dir, 4096).expect("a listing");
                let expected = listed.get(at + 1).map(|(name, _)| name);
                assert_eq!(following.first().map(|(name, _)| name), expected, "behind {name:?}");
            }
            drop(dir);
            mounted.session.umount_and_join().expect("a clean end");
        }
    });
}

#[test]
fn entries_removed_during_a_listing_take_no_other_with_them() {
    within(MINUTE, || {
        for engine in Engine::few() {
            let mounted =
                Mounted::new(ProbeOptions { entries: 2000, ..ProbeOptions::default() }, &engine);
            let dir = mounted.open("many");
            let mut seen = BTreeMap::<_, usize>::new();
            let mut removed = BTreeSet::new();
            loop {
                let entries = sys::getdents(&dir, 4096).expect("a listing");
                let Some((last, _)) = entries.last().cloned() else { break };
                for (name, _) in &entries {
                    *seen.entry(name.clone()).or_default() += 1;
                }
                // The last that was listed, one long gone by, and one that is to come.
                let number: u64 = last.to_str().expect("a name")[6..].parse().expect("a number");
                for number in [number, number / 2, number + 50] {
                    let name = format!("entry-{number:05}");
                    if fs::remove_file(mounted.join("many").join(&name)).is_ok() {
                        removed.insert(name);
                    }
                }
            }
            assert!(removed.len() > 20, "{removed:?}");
            assert!(seen.values().all(|times| *times == 1), "some come twice");
            for number in 0..2000 {
                let name = format!("entry-{number:05}");
                let listed = seen.contains_key(OsStr::new(&name));
                assert!(listed || removed.contains(&name), "{name} is lost");
            }
            drop(dir);
            mounted.session.umount_and_join().expect("a clean end");
        }
    });
}

#[test]
fn extended_attributes_of_up_to_64_kib_keep_to_the_room_there_is() {
    within(MINUTE, || {
        for engine in Engine::few() {
            let mounted = Mounted::new(ProbeOptions::default(), &engine);
            let path = mounted.join("plain");
            for size in [0, 1, 4096, 65_535, 65_536] {
                let value: Vec<_> = (0..size).map(|i| (i / 5) as u8).collect();
                sys::setxattr(&path, "user.x", &value).expect("it is set");
                assert_eq!(sys::getxattr(&path, "user.x", &mut []).expect("its size"), size);
                let mut room = vec![0; 65_536];
                let len = sys::getxattr(&path, "user.x", &mut room).expect("its value");
                assert!(room[..len] == value, "{size}: {len}");
                if size > 1 {
                    let mut tight = vec![0; size - 1];
                    assert_errno(sys::getxattr(&path, "user.x", &mut tight), &[libc::ERANGE]);
                    let mut exact = vec![0; size];
                    assert_eq!(sys::getxattr(&path, "user.x", &mut exact).expect("it fits"), size);
                }
            }
            assert_errno(sys::setxattr(&path, "user.x", &vec![0; 65_537]), &[libc::E2BIG]);
            assert_errno(sys::getxattr(&path, "user.y", &mut []), &[libc::ENODATA]);

            sys::setxattr(&path, "user.z", b"").expect("it is set");
            assert_eq!(sys::listxattr(&path, &mut []).expect("their size"), 14);
            assert_errno(sys::listxattr(&path, &mut [0; 13]), &[libc::ERANGE]);
            let mut names = [0; 14];
            assert_eq!(sys::listxattr(&path, &mut names).expect("their names"), 14);
            assert_eq!(&names, b"user.x\0user.z\0");
            run("setfattr").args(["-x", "user.x"]).arg(&path).ok();
            let none = run("getfattr").args(["-n", "user.x"]).arg(&path).output();
            assert!(!none.succeeded(), "{none:?}");
            mounted.session.umount_and_join().expect("a clean end");
        }
    });
}

#[test]
fn backing_files_are_given_back_once_each() {
    let backing = tempfile::NamedTempFile::new().expect("a file");
    fs::write(backing.path(), vec![b'b'; 10_000]).expect("its contents");
    let at = Mountpoint::new();
    for engine in crate::processes::ENGINES {
        let mut daemon = run("prlimit")
            .arg("--nofile=40")
            .arg(helper("probe_daemon"))
            .arg(at.path())
            .arg("--backing")
            .arg(backing.path())
            .args(*engine)
            .start();
        daemon.wait_for("ready", SOON);
        at.connection();
        let (path, pid) = (at.join("backed"), daemon.pid());
        let before = within(MINUTE, {
            let path = path.clone();
            move || {
                assert_eq!(fs::read(&path).expect("it passes through").len(), 10_000);
                open_files(pid).len()
            }
        });
        within(MINUTE, move || {
            let openers: Vec<_> = (0..4)
                .map(|_| {
                    let path = path.clone();
                    thread::spawn(move || {
                        for _ in 0..1000 {
                            let mut file = File::open(&path).expect("it opens again and again");
                            assert_eq!(file.read(&mut [0; 100]).expect("a read"), 100);
                        }
                    })
                })
                .collect();
            openers.into_iter().for_each(|opener| opener.join().expect("no panic"));
        });
        assert!(open_files(pid).len() <= before + 1, "{:?}", open_files(pid));
        run("umount").arg(at.path()).ok();
        let ended = daemon.wait(SOON);
        assert!(ended.succeeded() && ended.stdout.contains("ended well"), "{ended:?}");
        assert!(!ended.stderr.contains("given back"), "{}", ended.stderr);
        assert!(!ended.stdout.contains("\"read\""), "no read reached it: {}", ended.stdout);
    }
}

#[test]
fn four_methods_are_a_filesystem_that_can_be_listed_and_read() {
    within(MINUTE, || {
        let at = Mountpoint::new();
        let session = spawn_mount(Small, &at, &Config::default()).expect("a mount");
        at.connection();
        assert_eq!(run("ls").arg(at.path()).ok().stdout, "file\n");
        assert_eq!(run("cat").arg(at.join("file")).ok().stdout, "small\n");
        let listed = run("df").arg(at.path()).ok().stdout;
        assert!(listed.contains(&*at.path().to_string_lossy()), "{listed}");
        let refused = run("sh").args(["-c", "echo x > \"$0\""]).arg(at.join("new")).output();
        assert!(refused.stderr.contains("not implemented"), "{refused:?}");
        session.umount_and_join().expect("a clean end");
    });
}

#[test]
fn one_method_is_a_filesystem_that_answers_everything() {
    within(MINUTE, || {
        let at = Mountpoint::new();
        let session = spawn_mount(Tiny, &at, &Config::default()).expect("a mount");
        at.connection();
        run("ls").arg("-d").arg(at.path()).ok();
        run("df").arg(at.path()).ok();
        run("stat").arg(at.path()).ok();
        for (program, path) in [("ls", at.path().to_owned()), ("cat", at.join("file"))] {
            let refused = run(program).arg(path).output();
            assert!(refused.stderr.contains("not implemented"), "{refused:?}");
        }
        session.umount_and_join().expect("a clean end");
    });
}

#[test]
fn no_method_at_all_is_a_filesystem_that_hangs_nobody() {
    within(MINUTE, || {
        struct Nothing;
        impl Filesystem for Nothing {}

        let at = Mountpoint::new();
        let session = spawn_mount(Nothing, &at, &Config::default()).expect("a mount");
        at.connection();
        for program in ["ls", "stat", "cat"] {
            assert!(!run(program).arg(at.join("file")).output().succeeded(), "{program}");
        }
        session.umount_and_join().expect("a clean end");
        assert!(!at.is_mounted());
    });
}

/// What it takes to read one file.
struct Small;

impl Filesystem for Small {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match name.to_str() {
            Some("file") => reply.entry(&Duration::ZERO, &small(INodeNo(2)), Generation(0)),
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&Duration::ZERO, &small(ino));
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        _: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        reply.data(if offset == 0 { b"small\n" } else { b"" });
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        if offset == 0 {
            assert!(!reply.add(INodeNo(2), 1, FileType::RegularFile, "file"), "there is room");
        }
        reply.ok();
    }
}

/// A root directory and nothing else.
struct Tiny;

impl Filesystem for Tiny {
    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&Duration::ZERO, &root(ino));
    }
}

fn small(ino: INodeNo) -> FileAttr {
    match ino {
        INodeNo::ROOT => root(ino),
        _ => FileAttr { kind: FileType::RegularFile, perm: 0o644, size: 6, ..root(ino) },
    }
}
