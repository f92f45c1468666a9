//! The examples, as the programs they are: started, used for what they show, and ended in every way.

#![cfg(target_os = "linux")]

use std::fs;
use std::iter;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{self, SIGHUP, SIGINT, SIGKILL, SIGTERM};
use tempfile::TempDir;
use tests::{Mountpoint, NOBODY, Ordinary, Ran, Run, Running, eventually, example, run};

/// All that mount something.
const FILESYSTEMS: [&str; 13] = [
    "hello",
    "async_hello",
    "quickstart",
    "tagfs",
    "backend",
    "null",
    "ioctl",
    "poll",
    "notify_inval_entry",
    "notify_inval_inode",
    "passthrough",
    "memfs",
    "demo",
];

#[test]
fn every_example_explains_itself() {
    for name in FILESYSTEMS {
        let help = run(example(name)).arg("--help").ok();
        for said in ["Usage: ", "[MOUNTPOINT]", "-o <OPTION", "--threads", "--clone-fd", "Try:"] {
            assert!(help.stdout.contains(said), "{name}, {said:?}: {}", help.stdout);
        }
        assert_eq!(help.stderr, "", "{name}");
        let version = run(example(name)).arg("--version").ok();
        assert_eq!(version.stdout, format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
    }
    for name in ["async_hello", "quickstart", "tagfs", "backend", "memfs"] {
        let help = run(example(name)).arg("--help").ok();
        assert!(help.stdout.contains("--runtime <KIND>"), "{name}: {}", help.stdout);
    }
    let help = run(example("poll_client")).arg("--help").ok();
    assert!(help.stdout.contains("--count") && help.stdout.contains("Try:"), "{}", help.stdout);
}

#[test]
fn a_mount_that_is_refused_is_one_clear_line() {
    let stage = Stage::root();
    let lacking = stage.tmp().join("lacking");
    let below = Path::new("/dev/null/below");
    for name in FILESYSTEMS {
        for (args, said) in [
            (vec!["-o", "context=bogus"], "the kernel does not take the options 'context=bogus"),
            (vec!["-o", "ro,rw"], "'ro' and 'rw' contradict each other"),
            (vec!["-o", "auto_unmount"], "auto_unmount"),
            (vec![lacking.to_str().expect("UTF-8")], "create the directory first"),
            (vec![below.to_str().expect("UTF-8")], "Not a directory"),
            (vec!["/etc/passwd"], "/etc/passwd is not a directory"),
        ] {
            let refused = stage.example(name).args(&args).output();
            let lines: Vec<_> = refused.stderr.lines().collect();
            assert_eq!((refused.code(), lines.len()), (1, 1), "{name} {args:?}: {refused:?}");
            assert!(
                lines[0].starts_with(&format!("{name}: ")) && lines[0].contains(said),
                "{name} {args:?}: {refused:?}"
            );
            stage.assert_clean();
        }
    }
}

#[test]
fn a_mistake_in_the_arguments_is_told_before_anything_is_mounted() {
    let stage = Stage::root();
    for name in FILESYSTEMS {
        for (args, said) in [
            ("--bogus", "unexpected argument '--bogus'"),
            ("--threads 0", "invalid value '0' for '--threads"),
            ("-o ,ro", "an option is empty"),
            ("-o fsname=a\\", "a backslash at the end"),
            ("-o allow_other,allow_root", "only one of allow_other and allow_root"),
            ("one two", "unexpected argument 'two'"),
        ] {
            let refused = stage.example(name).args(args.split(' ')).output();
            let first = refused.stderr.lines().next().unwrap_or_default();
            assert_eq!(refused.code(), 1, "{name} {args}: {refused:?}");
            assert!(first.starts_with("error: ") && first.contains(said), "{name} {refused:?}");
            stage.assert_clean();
        }
    }
    let twice = stage.example("hello").args(["-o", "allow_other", "-o", "allow_root"]).output();
    assert_eq!(twice.code(), 1);
    assert!(twice.stderr.contains("only one of allow_other and allow_root"), "{twice:?}");
    stage.refuses("passthrough --backing /no/such", "cannot serve /no/such: No such file");
    stage.refuses(
        "memfs --check-permissions -o default_permissions",
        "--check-permissions and -o default_permissions exclude each other",
    );
    stage.refuses("memfs --size-limit 1X", "invalid value '1X'");
    stage.refuses("memfs --runtime current-thread", "not provided:\n  --async");
    stage.refuses("memfs --async --runtime other", "invalid value 'other' for '--runtime");
    stage.refuses("async_hello --runtime 1", "invalid value '1' for '--runtime");
    stage.refuses("notify_inval_entry --only-expire --no-notify", "cannot be used with");
    stage.assert_clean();
}

#[test]
fn each_signal_ends_every_example_cleanly() {
    let stage = Stage::root();
    for name in FILESYSTEMS {
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let mut served = stage.start(name, "");
            assert!(stage.is_mounted(name), "{name}");
            served.signal(signal);
            stage.ended(&mut served, name);
        }
    }
}

#[test]
fn an_unmount_from_outside_ends_every_example_cleanly() {
    let stage = Stage::root();
    for name in FILESYSTEMS {
        let mut served = stage.start(name, "");
        run("umount").arg(stage.default_mountpoint(name)).ok();
        stage.ended(&mut served, name);
    }
}

#[test]
fn a_mountpoint_that_was_given_stays() {
    let mountpoint = Mountpoint::new();
    let stage = Stage::root();
    for name in FILESYSTEMS {
        let mut served = stage.start(name, mountpoint.path().to_str().expect("UTF-8"));
        assert!(mountpoint.is_mounted() && !stage.default_mountpoint(name).exists(), "{name}");
        served.signal(SIGINT);
        stage.ended(&mut served, name);
        assert!(!mountpoint.is_mounted() && mountpoint.path().is_dir(), "{name}");
    }
}

#[test]
fn a_signal_at_any_moment_of_the_start_leaves_nothing() {
    let stage = Stage::root();
    for name in ["hello", "async_hello"] {
        for tenths in 0..40 {
            let mut served = stage.example(name).start();
            thread::sleep(Duration::from_micros(100 * tenths));
            served.signal(SIGTERM);
            let ran = served.wait(SOON);
            // Until the program has said what it does with the signal, the signal kills it.
            let killed = ran.status.signal();
            assert!(ran.succeeded() || killed == Some(SIGTERM as i32), "{name} {tenths}: {ran:?}");
            assert!(ran.stderr.is_empty(), "{name} {tenths}: {ran:?}");
            stage.assert_clean();
        }
    }
}

#[test]
fn the_signals_of_timeout_are_one_wish() {
    let stage = Stage::root();
    let mount = stage.default_mountpoint("memfs");
    let mut served = stage
        .run("timeout")
        .args(["--preserve-status", "-s", "INT", "1"])
        .arg(example("memfs"))
        .start();
    served.wait_for(READY, LONG);
    // Somebody is in it for a moment longer: a second wish would end it with 1 now.
    let mut busy = run("sh").args(["-c", "cd \"$0\" && echo in && sleep 1.3"]).arg(&mount).start();
    busy.wait_for("in", SOON);
    stage.ended(&mut served, "memfs");
    busy.wait(SOON);
}

#[test]
fn nobody_has_to_read_what_it_says() {
    let stage = Stage::root();
    let mount = stage.default_mountpoint("hello");
    let script = "\"$0\" | true";
    let mut served = stage.run("sh").args(["-c", script]).arg(example("hello")).start();
    eventually(LONG, "it is mounted", || stage.is_mounted("hello"));
    stage.prints("hello", "cat greeting", "Hello from user space!\n");
    run("umount").arg(mount).ok();
    stage.ended(&mut served, "hello");
}

#[test]
fn a_mount_in_use_goes_at_once_and_the_program_when_it_is_not_used_any_more() {
    let stage = Stage::root();
    for args in ON_BOTH_FACES {
        let mut served = stage.start("memfs", args);
        let mut busy = stage.busy("memfs");
        let start = Instant::now();
        served.signal(SIGINT);
        eventually(SOON, "it is unmounted", || !stage.is_mounted("memfs"));
        eventually(SOON, "it says why it waits", || served.stderr().contains("still in use"));
        assert!(
            start.elapsed() >= Duration::from_millis(450),
            "a second signal would be the same wish"
        );
        // What is in use is served on.
        stage.go_on(&busy);
        busy.wait_for("wrote", SOON);
        assert!(!served.has_ended());
        stage.go_on(&busy);
        assert!(busy.wait(SOON).succeeded());
        let ran = served.wait(SOON);
        assert_eq!((ran.code(), ran.stderr.lines().count()), (0, 1), "{ran:?}");
        stage.assert_clean();
    }
}

#[test]
fn a_second_ctrl_c_ends_the_program_although_the_mount_is_in_use() {
    let stage = Stage::root();
    for args in ON_BOTH_FACES {
        let mut served = stage.start("memfs", args);
        let mut busy = stage.busy("memfs");
        served.signal(SIGINT);
        eventually(SOON, "it says why it waits", || served.stderr().contains("still in use"));
        served.signal(SIGINT);
        let ran = served.wait(SOON);
        assert_eq!(ran.code(), 1);
        assert!(ran.stderr.contains("ended while in use"), "{ran:?}");
        assert!(!stage.is_mounted("memfs"));
        stage.go_on(&busy);
        let left = busy.wait(SOON);
        assert!(!left.succeeded() && left.stderr.contains("not connected"), "{left:?}");
        stage.assert_clean();
    }
}

#[test]
fn what_a_killed_one_leaves_is_explained_and_easily_removed() {
    let stages = [Stage::root(), Stage::nobody()];
    for (stage, name) in iter::zip(stages, ["hello", "async_hello"]) {
        let mut served = stage.start(name, "");
        served.signal(SIGKILL);
        served.wait(SOON);
        let mount = stage.default_mountpoint(name);
        assert!(stage.is_mounted(name), "a killed one cannot unmount");
        let ls = stage.run("ls").arg(&mount).output();
        assert!(ls.stderr.contains("Transport endpoint is not connected"), "{ls:?}");
        let again = stage.example(name).output();
        assert_eq!((again.code(), again.stderr.lines().count()), (1, 1), "{again:?}");
        let path = mount.to_str().expect("UTF-8");
        for said in [path, "Transport endpoint is not connected", "umount"] {
            assert!(again.stderr.contains(said), "{again:?}");
        }
        let (program, flag) =
            if stage.is_root() { ("umount", None) } else { ("fusermount3", Some("-u")) };
        stage.run(program).args(flag).arg(&mount).ok();
        let mut served = stage.start(name, "");
        stage.prints(name, "cat greeting", "Hello from user space!\n");
        served.signal(SIGINT);
        assert!(served.wait(SOON).succeeded());
        assert!(!stage.is_mounted(name));
        // This one found the directory there.
        stage.run("rmdir").arg(&mount).ok();
        stage.assert_clean();
    }
}

#[test]
fn an_aborted_connection_ends_the_program_and_its_mount() {
    let mountpoint = Mountpoint::new();
    let stage = Stage::root();
    for name in FILESYSTEMS {
        let mut served = stage.start(name, mountpoint.path().to_str().expect("UTF-8"));
        mountpoint.connection().abort();
        stage.ended(&mut served, name);
        assert!(!mountpoint.is_mounted(), "{name}");
    }
}

#[test]
fn mount_options_reach_the_kernel() {
    let mountpoint = Mountpoint::new();
    let stage = Stage::root();
    let at = mountpoint.path().to_str().expect("UTF-8");
    let cases: [(&str, &str, &[&str], &str, &str); 9] = [
        ("memfs", "", &["rw", "nosuid", "nodev", "default_permissions"], "fuse", "memfs"),
        ("hello", "", &["ro"], "fuse", "hello"),
        ("async_hello", "", &["ro", "nosuid"], "fuse", "async_hello"),
        (
            "memfs",
            "--async -o allow_other,auto_unmount,dirsync --threads 3",
            &["allow_other", "dirsync", "default_permissions"],
            "fuse",
            "memfs",
        ),
        ("hello", r"-o rw,fsname=a\,b\\c,noatime", &["rw", "noatime"], "fuse", r"a,b\c"),
        ("memfs", "-o ro -o subtype=kind,fsname=x", &["ro"], "fuse.kind", "x"),
        ("ioctl", "-o allow_other,suid,dev,noexec", &["allow_other", "noexec"], "fuse", "ioctl"),
        (
            "poll",
            "-o dirsync,sync,max_read=8192",
            &["dirsync", "sync", "max_read=8192"],
            "fuse",
            "poll",
        ),
        (
            "memfs",
            "-o allow_other,auto_unmount --threads 3 --clone-fd",
            &["allow_other"],
            "fuse",
            "memfs",
        ),
    ];
    for (name, args, options, kind, source) in cases {
        let mut served = stage.start(name, &format!("{args} {at}"));
        let mounts = mountpoint.mounts();
        let [mount] = &*mounts else { panic!("{name} {args}: {mounts:?}") };
        for option in options {
            assert!(mount.has(option), "{name} {args}, {option}: {mount:?}");
        }
        assert_eq!((&*mount.kind, mount.source.to_str()), (kind, Some(source)), "{name} {args}");
        let may = mount.has("allow_other");
        assert_eq!(mount.has("nosuid"), !args.contains("suid"), "{name} {args}: {mount:?}");
        assert_eq!(
            run("stat").args(["-c", "%F", at]).as_nobody().output().succeeded(),
            may,
            "{args}"
        );
        if options.contains(&"ro") {
            let refused = run("touch").arg(mountpoint.join("new")).output();
            assert!(refused.stderr.contains("Read-only file system"), "{refused:?}");
        }
        served.signal(SIGINT);
        stage.ended(&mut served, name);
    }
}

#[test]
fn hello_is_a_tree_to_read() {
    for (name, args) in [
        ("hello", ""),
        ("hello", "--threads 4 --clone-fd"),
        ("async_hello", ""),
        ("async_hello", "--threads 4"),
        ("async_hello", "--runtime current-thread"),
    ] {
        for stage in [Stage::root(), Stage::nobody()] {
            let mut served = stage.start(name, args);
            stage.prints(name, "cat greeting", "Hello from user space!\n");
            let tree =
                "greeting\nlanguages\nlanguages/deutsch\nlanguages/français\nlanguages/日本語\n";
            stage.prints(name, "find * | LC_ALL=C sort", tree);
            stage.prints(name, "cat languages/français", "Bonjour de l'espace utilisateur !\n");
            stage.prints(name, "dd if=greeting bs=3 skip=2 count=3 2>/dev/null", "from user");
            let sizes = "regular file 444 23 1\ndirectory 555 0 2\n";
            stage.prints(name, "stat -c '%F %a %s %h' greeting .", sizes);
            stage.prints(name, "ls -a languages | LC_ALL=C sort | head -2", ".\n..\n");
            stage.fails(name, "cat languages", "Is a directory");
            stage.fails(name, "cat missing", "No such file or directory");
            stage.fails(name, "touch new", "Read-only file system");
            stage.fails(name, "echo more >> greeting", "Read-only file system");
            served.signal(SIGINT);
            stage.ended(&mut served, name);
        }
    }
    let stage = Stage::root();
    for name in ["hello", "async_hello"] {
        let mut served = stage.start(name, "-o rw");
        stage.fails(name, "touch new", "Function not implemented");
        served.signal(SIGINT);
        stage.ended(&mut served, name);
    }
}

#[test]
fn quickstart_has_one_file() {
    for (args, stage) in [("", Stage::root()), ("--threads 2", Stage::nobody())] {
        let mut served = stage.start("quickstart", args);
        stage.prints("quickstart", "ls; cat hello", "hello\nHello!\n");
        stage.prints("quickstart", "stat -c '%F %a %s %h' hello .", QUICKSTART);
        stage.prints("quickstart", "dd if=hello bs=2 skip=1 count=2 2>/dev/null", "llo!");
        stage.fails("quickstart", "cat other", "No such file or directory");
        stage.fails("quickstart", "rm hello", "Function not implemented");
        served.signal(SIGINT);
        stage.ended(&mut served, "quickstart");
    }
}

const QUICKSTART: &str = "regular file 644 7 1\ndirectory 755 0 1\n";

#[test]
fn tagfs_has_a_note_in_the_directory_of_each_of_its_tags() {
    let stage = Stage::root();
    for args in ["", "--threads 2", "--runtime current-thread"] {
        let mut served = stage.start("tagfs", args);
        stage.prints("tagfs", "mkdir todo garden; echo trees >todo/plant; ls; cat todo/*", TAGGED);
        stage.prints(
            "tagfs",
            "ln todo/plant garden/it; stat -c %h todo/plant; ls garden",
            "2\nit\n",
        );
        stage.prints(
            "tagfs",
            "rm todo/plant; echo more >>garden/it; cat garden/it",
            "trees\nmore\n",
        );
        stage.prints("tagfs", "mv garden/it todo; rmdir garden; mv todo done; ls *", "it\n");
        stage.prints("tagfs", "truncate -s 4 done/it; cat done/it; stat -c %s done/it", "tree4\n");
        let unlinked = "exec 3<done/it; rm done/it; cat <&3; exec 3<&-; ls done";
        stage.prints("tagfs", unlinked, "tree");
        let many =
            "seq 3000 | (cd done && xargs touch); ls done | sort -n | cksum; seq 3000 | cksum";
        let sums = stage.sh("tagfs", many);
        let lines: Vec<_> = sums.stdout.lines().collect();
        assert!(sums.succeeded() && lines.len() == 2 && lines[0] == lines[1], "{sums:#?}");
        stage.prints("tagfs", "rm -r done; ls", "");
        stage.fails("tagfs", "echo x >note", "Operation not permitted");
        stage.fails("tagfs", "mkdir a a", "File exists");
        stage.fails("tagfs", "mkdir a/b", "Operation not permitted");
        stage.fails("tagfs", "touch a/n; rmdir a", "Directory not empty");
        stage.fails("tagfs", "truncate -s 1T a/n", "File too large");
        served.signal(SIGINT);
        stage.ended(&mut served, "tagfs");
    }
}

const TAGGED: &str = "garden\ntodo\ntrees\n";

#[test]
fn backend_waits_for_all_reads_at_once_and_drops_those_of_the_dead() {
    let stage = Stage::root();
    let mut served = stage.start("backend", "");
    stage.prints("backend", "ls", "loadavg\nmeminfo\nuptime\nversion\n");
    stage.prints("backend", "cmp version /proc/version && stat -c %s version", "0\n");
    stage.prints(
        "backend",
        "tail -c +3 version | cmp - /proc/version -i 0:2 && echo same",
        "same\n",
    );
    served.signal(SIGINT);
    stage.ended(&mut served, "backend");

    let mut served = stage.start("backend", "--delay 1000");
    let begun = Instant::now();
    let all = "for file in version version version version; do head -c 1 $file & done; wait";
    stage.prints("backend", all, "LLLL");
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(4), "{took:?}");
    served.signal(SIGINT);
    stage.ended(&mut served, "backend");

    let mut served = stage.start("backend", "--delay 60000");
    let begun = Instant::now();
    stage.fails("backend", "timeout 0.2 cat version", "");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    served.signal(SIGINT);
    stage.ended(&mut served, "backend");
}

#[test]
fn null_can_be_mounted_and_no_more() {
    for stage in [Stage::root(), Stage::nobody()] {
        let mut served = stage.start("null", "");
        let mount = stage.default_mountpoint("null");
        for (program, args) in [("stat", vec![]), ("ls", vec![]), ("touch", vec![])] {
            let ran = stage.run(program).args(args as Vec<&str>).arg(&mount).output();
            assert!(ran.stderr.contains("Function not implemented"), "{program}: {ran:?}");
        }
        let ran = stage.run("stat").args(["-f", "-c", "%b %f %T"]).arg(&mount).ok();
        assert_eq!(ran.stdout, "0 0 fuseblk\n");
        served.signal(SIGINT);
        stage.ended(&mut served, "null");
    }
}

#[test]
fn ioctl_asks_for_a_size_and_sets_it() {
    let stage = Stage::root();
    let mut served = stage.start("ioctl", "");
    let file = stage.default_mountpoint("ioctl").join("elastic");
    let file = file.to_str().expect("UTF-8");
    let client = |call: &str| {
        let words = call.split(' ');
        stage.example("ioctl").arg("--client").arg(file).args(words).output()
    };
    assert_eq!(client("get").stdout, "0 bytes\n");
    assert_eq!(client("set 4096").stdout, "set to 4096 bytes\n");
    assert_eq!(client("get").stdout, "4096 bytes\n");
    stage.prints("ioctl", "stat -c %s elastic; tr -d '\\0' <elastic | wc -c", "4096\n0\n");
    stage.prints("ioctl", "printf abc >elastic; printf de >>elastic; cat elastic", "abcde");
    assert_eq!(client("get").stdout, "5 bytes\n");
    assert!(client("set 3").succeeded());
    stage.prints("ioctl", "cat elastic; truncate -s 1000 elastic; stat -c %s elastic", "abc1000\n");

    let too_large = client("set 99999999");
    assert!(too_large.code() == 1 && too_large.stderr.contains("File too large"), "{too_large:?}");
    let wrong = client("jump");
    assert!(wrong.code() == 1 && wrong.stderr.contains("say `get`"), "{wrong:?}");
    let call = |path: &str| stage.example("ioctl").args(["--client", path, "get"]).output();
    for other in ["/etc/passwd", file.strip_suffix("/elastic").expect("its directory")] {
        let refused = call(other);
        assert_eq!(refused.code(), 1);
        assert!(refused.stderr.contains("Inappropriate ioctl"), "{other}: {refused:?}");
    }
    // The number a 32-bit program would use: its size is half as large.
    let narrow = "import fcntl; fcntl.ioctl(open('elastic'), 0x80044500, bytes(4))";
    let refused = stage.python("ioctl", narrow).output();
    assert!(refused.stderr.contains("Errno 25"), "{refused:?}");
    // The right one, by another hand than the client's.
    let asked = "import fcntl; print(fcntl.ioctl(open('elastic'), 0x80084500, bytes(8)))";
    assert_eq!(
        stage.python("ioctl", asked).ok().stdout,
        "b'\\xe8\\x03\\x00\\x00\\x00\\x00\\x00\\x00'\n"
    );
    stage.fails("ioctl", "dd if=/dev/zero of=elastic bs=64K count=17", "File too large");
    stage.fails("ioctl", "chmod 600 elastic", "Operation not permitted");
    stage.fails("ioctl", "touch new", "Function not implemented");
    served.signal(SIGINT);
    stage.ended(&mut served, "ioctl");
}

#[test]
fn poll_makes_files_readable_over_time() {
    let stage = Stage::root();
    let mut served = stage.start("poll", "--every 100");
    let client = stage.example("poll_client").args(["--count", "9"]).ok();
    let mut letters = Vec::new();
    let mut times = Vec::new();
    for line in client.stdout.lines() {
        match line.split_once(" ms  ready: ") {
            Some((time, _)) => times.push(time.trim().parse::<u64>().expect("milliseconds")),
            None => letters.push(line.trim().to_owned()),
        }
    }
    assert_eq!(times.len(), 9, "{client:?}");
    assert!(times.is_sorted(), "{client:?}");
    // The first may find letters of before; each other one came by itself, while it slept.
    assert!(times[8] - times[0] >= 400, "{client:?}");
    let numbers: Vec<usize> = letters
        .iter()
        .map(|letter| letter.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number"))
        .collect();
    let mut in_order = numbers.clone();
    in_order.sort_unstable();
    in_order.dedup();
    assert_eq!(in_order, (0..numbers.len()).collect::<Vec<_>>(), "none lost: {client:?}");
    for (letter, number) in letters.iter().zip(&numbers) {
        let name = ["amber", "birch", "cedar", "dogwood"][number % 4];
        assert_eq!(*letter, format!("letter {number} for {name}"));
    }
    served.signal(SIGINT);
    stage.ended(&mut served, "poll");
}

#[test]
fn select_and_epoll_wait_for_poll_too() {
    let stage = Stage::root();
    for args in ["--every 30", "--every 30 --threads 3 --clone-fd"] {
        let mut served = stage.start("poll", args);
        let script = r"
import os, select
names = sorted(os.listdir())
files = {os.open(name, os.O_RDONLY | os.O_NONBLOCK): name for name in names}
seen = set()
for _ in range(12):
    ready, _, _ = select.select(list(files), [], [], 10)
    assert ready, 'select timed out'
    seen |= {os.read(fd, 4096).split()[0] and files[fd] for fd in ready}
assert seen == set(names), seen
poller = select.epoll()
for fd in files: poller.register(fd, select.EPOLLIN | select.EPOLLET)
seen = set()
for _ in range(12):
    ready = poller.poll(10)
    assert ready, 'epoll timed out'
    for fd, events in ready:
        assert events == select.EPOLLIN, events
        os.read(fd, 4096)
        seen.add(files[fd])
assert seen == set(names), seen
print('all')";
        assert_eq!(stage.python("poll", script).ok().stdout, "all\n", "{args}");
        served.signal(SIGINT);
        stage.ended(&mut served, "poll");
    }
}

#[test]
fn poll_says_when_there_is_nothing() {
    let stage = Stage::root();
    let mut served = stage.start("poll", "--every 3600000");
    stage.fails("poll", "cat amber", "Resource temporarily unavailable");
    stage.fails("poll", "echo letter >amber", "Permission denied");
    let client = stage.example("poll_client").args(["--timeout", "100"]).output();
    assert_eq!((client.code(), client.stderr.contains("nothing came in time")), (1, true));
    // A client that waits keeps the mount in use; when its server ends it learns of that.
    let mut client = stage.example("poll_client").start();
    let waits = || {
        let stack = fs::read_to_string(format!("/proc/{}/wchan", client.pid()));
        stack.is_ok_and(|place| place.contains("poll"))
    };
    eventually(SOON, "the client sleeps in poll", waits);
    served.signal(SIGINT);
    eventually(SOON, "it says why it waits", || served.stderr().contains("still in use"));
    assert!(!client.has_ended());
    served.signal(SIGINT);
    assert_eq!(served.wait(SOON).code(), 1);
    let gone = client.wait(SOON);
    assert!(gone.succeeded() && gone.stdout.ends_with("the filesystem has gone\n"), "{gone:?}");
    stage.assert_clean();
}

#[test]
fn a_name_that_is_gone_is_gone_from_the_kernels_cache() {
    let stage = Stage::root();
    for args in ["", "--only-expire", "--no-notify"] {
        let mut served = stage.start("notify_inval_entry", &format!("{args} --every 300"));
        // Looked up, so in the cache for an hour; then renamed.
        let script = "until n=$(ls) && stat $n; do :; done >/dev/null 2>&1
            while [ $(ls) = $n ]; do sleep .02; done
            for try in 1 2 3 4 5 6 7 8; do
              stat -c %F $n 2>&1 | sed 's/.*: //'
              sleep .05
            done | tail -1
            ls | grep -c .";
        let expected = match args {
            "--no-notify" => "regular file\n1\n",
            _ => "No such file or directory\n1\n",
        };
        stage.prints("notify_inval_entry", script, expected);
        served.signal(SIGINT);
        stage.ended(&mut served, "notify_inval_entry");
    }
}

#[test]
fn a_mount_on_a_name_goes_with_it_unless_it_only_expires() {
    let stage = Stage::root();
    for (args, left) in [("", "0\n"), ("--only-expire", "1\n")] {
        let mut served = stage.start("notify_inval_entry", &format!("{args} --every 500 -v"));
        let script = "until n=$(ls) && mount --bind /etc/passwd $n; do :; done 2>/dev/null
            while [ $(ls) = $n ]; do sleep .02; done
            for try in 1 2 3 4 5 6 7 8; do
              grep -c \" $PWD/$n \" /proc/self/mountinfo
              sleep .05
            done | tail -1
            umount -l $n 2>/dev/null || :";
        stage.prints("notify_inval_entry", script, left);
        served.signal(SIGINT);
        stage.ended(&mut served, "notify_inval_entry");
    }
}

#[test]
fn news_reach_the_readers_of_a_file_in_the_cache() {
    let stage = Stage::root();
    for args in ["", "--store", "--no-notify", "--threads 3 --clone-fd"] {
        let name = "notify_inval_inode";
        let mut served = stage.start(name, &format!("{args} --every 100 -v"));
        let mut read = Vec::new();
        for _ in 0..3 {
            // What an edition is followed by has been told of, and printed after the last read.
            let last = last_edition(&served) + 3;
            eventually(LONG, "three editions more", || last_edition(&served) >= last);
            let text = stage.sh(name, "cat news").stdout;
            let numbers: Vec<u32> = text
                .split_whitespace()
                .filter_map(|word| word.trim_end_matches(',').parse().ok())
                .collect();
            let [edition, reads] = numbers[..] else { panic!("{text:?}") };
            read.push((edition, reads, edition + 1 >= last));
        }
        let newer = read.iter().all(|(_, _, newer)| *newer);
        match args {
            "--no-notify" => {
                assert!(read.iter().all(|of| (of.0, of.1) == (read[0].0, 0)), "{read:?}")
            }
            // The file system is asked once, if at all; what comes later is there without asking.
            "--store" => assert!(newer && read.iter().all(|of| of.1 <= 1), "{read:?}"),
            _ => assert!(newer && read[1].1 == 1 && read[2].1 == 2, "{args}: {read:?}"),
        }
        assert!(!served.stderr().contains("cannot tell"), "{}", served.stderr());
        served.signal(SIGINT);
        stage.ended(&mut served, name);
    }
}

#[test]
fn readers_and_news_in_quick_succession_do_not_block_each_other() {
    let stage = Stage::root();
    for args in ["", "--store", "--threads 4 --clone-fd"] {
        let name = "notify_inval_inode";
        let mut served = stage.start(name, &format!("{args} --every 2"));
        let script =
            "for n in $(seq 150); do cat news; done | grep -c '^edition .* to the filesystem$'";
        stage.prints(name, script, "150\n");
        served.signal(SIGINT);
        stage.ended(&mut served, name);
    }
}

#[test]
fn reads_and_writes_of_passthrough_do_not_reach_the_process() {
    let stage = Stage::root();
    for args in ["", "--threads 4 --clone-fd"] {
        let mut served = stage.start("passthrough", args);
        let backing = backing_directory(&served);
        let pid = served.pid();
        stage.prints("passthrough", "cat notes", "This text was read from the backing file.\n");
        // The process is stopped, and files that are open are read, written and mapped all the same.
        let script = format!(
            "
import mmap, os, signal
data = os.open('data', os.O_RDWR)
notes = os.open('notes', os.O_RDONLY)
text = os.urandom(1 << 20)
mapped = mmap.mmap(data, 1 << 20)
os.pwrite(data, b'x', 0)  # before a first write the kernel asks once whether the file has capabilities
os.kill({pid}, signal.SIGSTOP)
while open('/proc/{pid}/stat').read().split()[2] != 'T': pass
try:
    assert os.pread(notes, 100, 0) == b'This text was read from the backing file.\\n'
    assert os.pwrite(data, text, 0) == len(text)
    assert os.pread(data, 1 << 20, 0) == text
    assert mapped[:] == text
    mapped[5:10] = b'MAPPED'[:5]
    mapped.flush(0, 4096)
    assert os.pread(data, 5, 5) == b'MAPPE'
finally:
    os.kill({pid}, signal.SIGCONT)
print('without it')"
        );
        assert_eq!(stage.python("passthrough", &script).ok().stdout, "without it\n");
        let compare = format!(
            "cmp data {}/data && printf more >>data && cmp data {0}/data && : >data
            stat -c %s {0}/data",
            backing.display()
        );
        stage.prints("passthrough", &compare, "0\n");
        // Many opens of one file, at once and one after the other.
        stage.prints(
            "passthrough",
            "write() { dd if=/dev/urandom of=data bs=4k count=4 conv=notrunc 2>/dev/null; }
            for n in $(seq 50); do write & done; wait; stat -c %s data",
            "16384\n",
        );
        let many = "
import os, threading
def use():
    for _ in range(200): os.close(os.open('data', os.O_RDWR))
users = [threading.Thread(target=use) for _ in range(8)]
for user in users: user.start()
for user in users: user.join()
print(len([os.open('notes', os.O_RDONLY) for _ in range(300)]))";
        assert_eq!(stage.python("passthrough", many).ok().stdout, "300\n");
        let (passed, other, reads, writes) = requests(&stage);
        assert!(passed >= 1950, "{passed}");
        assert_eq!((other, reads, writes), (0, 0, 0));
        stage.fails("passthrough", "chmod 600 data", "Operation not permitted");
        stage.fails("passthrough", "rm data", "Function not implemented");
        served.signal(SIGINT);
        let ran = served.wait(SOON);
        assert!(ran.succeeded() && ran.stderr.is_empty(), "{ran:?}");
        assert!(ran.stdout.ends_with("answered by this process: 0 reads, 0 writes\n"), "{ran:?}");
        assert!(!backing.exists(), "{}", backing.display());
        stage.assert_clean();
    }
}

#[test]
fn passthrough_closes_the_backing_files_that_are_not_open_any_more() {
    let stage = Stage::root();
    let mut served = stage
        .run("sh")
        .args(["-c", "ulimit -n 40 && exec \"$0\""])
        .arg(example("passthrough"))
        .start();
    served.wait_for(READY, LONG);
    let script =
        "import os\nfor _ in range(1000): os.close(os.open('data', os.O_RDWR))\nprint('all')";
    assert_eq!(stage.python("passthrough", script).ok().stdout, "all\n");
    assert_eq!(requests(&stage), (1000, 0, 0, 0));
    served.signal(SIGINT);
    stage.ended(&mut served, "passthrough");
}

#[test]
fn passthrough_answers_itself_where_it_cannot_pass_through() {
    for (stage, args) in [(Stage::root(), "--no-passthrough"), (Stage::nobody(), "")] {
        let mut served = stage.start("passthrough", args);
        let backing = backing_directory(&served);
        stage.prints("passthrough", "cat notes", "This text was read from the backing file.\n");
        let script = format!(
            "dd if=/dev/urandom of=data bs=256K count=4 conv=notrunc 2>/dev/null
            cmp data {}/data && echo same",
            backing.display()
        );
        stage.prints("passthrough", &script, "same\n");
        let (passed, other, reads, writes) = requests(&stage);
        assert_eq!(passed, 0);
        assert!(other >= 3 && reads > 0 && writes > 0, "{other} {reads} {writes}");
        assert_eq!(
            served.stderr().contains("CAP_SYS_ADMIN"),
            !stage.is_root(),
            "{}",
            served.stderr()
        );
        served.signal(SIGINT);
        stage.ended(&mut served, "passthrough");
        assert!(!backing.exists());
    }
}

#[test]
fn passthrough_serves_a_directory_of_ones_own() {
    let stage = Stage::root();
    let files = TempDir::new().expect("a temporary directory");
    fs::write(files.path().join("mine"), "my own text\n").expect("a file");
    let mut served = stage.start("passthrough", &format!("--backing {}", files.path().display()));
    stage.prints("passthrough", "cat mine; echo changed >mine; ls", "my own text\nmine\n");
    assert_eq!(requests(&stage), (2, 0, 0, 0));
    served.signal(SIGINT);
    stage.ended(&mut served, "passthrough");
    assert_eq!(fs::read_to_string(files.path().join("mine")).expect("it stays"), "changed\n");
}

#[test]
fn memfs_keeps_files_within_its_limits() {
    for stage in [Stage::root(), Stage::nobody()] {
        for args in [
            "",
            "--writeback",
            "--kernel-locks",
            "--check-permissions --threads 4 --clone-fd",
            "--async",
            "--async --writeback",
            "--async --kernel-locks --runtime current-thread",
            "--async --check-permissions --threads 4",
        ] {
            let mut served =
                stage.start("memfs", &format!("--size-limit 1M --inode-limit 8 {args}"));
            let script = "mkdir -p a/b && echo text >a/b/file && ln a/b/file hard && ln -s a/b/file soft
                mkfifo fifo && cat hard soft && mv a/b/file a/renamed && ls -A && stat -c '%h %F' hard
                truncate -s 1T sparse && stat -c '%s %b' sparse && rm -r a soft hard fifo sparse && ls -A";
            stage.prints(
                "memfs",
                script,
                "text\ntext\na\nfifo\nhard\nsoft\n2 regular file\n1099511627776 0\n",
            );
            stage.fails(
                "memfs",
                "head -c 2M /dev/zero >large && sync large",
                "No space left on device",
            );
            stage.prints(
                "memfs",
                "rm large; head -c 1000K /dev/zero >large; stat -c %s large; rm large",
                "1024000\n",
            );
            stage.fails("memfs", "touch 1 2 3 4 5 6 7 8", "No space left on device");
            stage.prints(
                "memfs",
                "touch 1 2 3 4 5 6 7; rm *; df -i . | tail -1 | awk '{print $2, $3}'",
                "8 1\n",
            );
            stage.prints(
                "memfs",
                "flock lock sh -c 'flock -n lock true || echo locked'",
                "locked\n",
            );
            served.signal(SIGINT);
            stage.ended(&mut served, "memfs");
        }
    }
}

#[test]
fn a_program_that_runs_from_memfs_is_not_truncated() {
    let stage = Stage::root();
    for args in ["", "--writeback", "--async", "--async --check-permissions"] {
        let mut served = stage.start("memfs", args);
        let script = "
import errno, shutil, subprocess
program = shutil.copy(shutil.which('sleep'), 'program')
size = os.stat(program).st_size
for _ in range(20):
    runs = subprocess.Popen(['./program', '20'])
    for flags in os.O_WRONLY, os.O_RDWR | os.O_TRUNC, os.O_RDONLY | os.O_TRUNC:
        try:
            os.open(program, flags)
        except OSError as error:
            assert error.errno == errno.ETXTBSY, error
        else:
            raise AssertionError('it was opened')
    assert runs.poll() is None and os.stat(program).st_size == size > 0
    runs.kill()
    runs.wait()
os.close(os.open(program, os.O_RDONLY | os.O_TRUNC))
print(os.stat(program).st_size)";
        assert_eq!(stage.python("memfs", script).ok().stdout, "0\n", "{args}");
        served.signal(SIGINT);
        stage.ended(&mut served, "memfs");
    }
}

#[test]
fn the_demo_shows_all_it_has() {
    for stage in [Stage::root(), Stage::nobody()] {
        let ran = stage.example("demo").arg("--once").within(LONG).ok();
        for said in ["Hello from memory", "a program, run from the mount", "Unmounting."] {
            assert!(ran.stdout.contains(said), "{said:?}: {}", ran.stdout);
        }
        assert!(!ran.stdout.contains("commands failed"), "{}", ran.stdout);
        stage.assert_clean();
    }
}

#[test]
fn the_demo_stays_mounted_until_ctrl_c() {
    let stage = Stage::root();
    let mut served = stage.start("demo", "");
    stage.prints("demo", "echo kept >file && cat file", "kept\n");
    served.signal(SIGINT);
    stage.ended(&mut served, "demo");
}

#[test]
fn an_ordinary_user_mounts_through_fusermount3_and_no_more_than_is_allowed() {
    let stage = Stage::nobody();
    for name in FILESYSTEMS {
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let mut served = stage.start(name, "");
            let line = stage.mount_line(name).expect("it is mounted");
            assert!(line.contains(&format!("user_id={NOBODY},group_id={NOBODY}")), "{line}");
            assert!(line.contains("nosuid,nodev"), "{line}");
            served.signal(signal);
            stage.ended(&mut served, name);
        }
        let mut served = stage.start(name, r"-o fsname=a\,b,subtype=s,noatime");
        let line = stage.mount_line(name).expect("it is mounted");
        assert!(line.contains(" - fuse.s a,b ") && line.contains("noatime"), "{line}");
        stage.run("fusermount3").arg("-u").arg(stage.default_mountpoint(name)).ok();
        stage.ended(&mut served, name);
    }
    for (args, said) in [
        ("-o allow_other", "user_allow_other"),
        ("-o no_such_option", "no_such_option"),
        ("/root", "/root"),
        ("/usr", "/usr"),
        ("/no/such", "create the directory first"),
    ] {
        let refused = stage.example("hello").args(args.split(' ')).output();
        assert_eq!((refused.code(), refused.stderr.lines().count()), (1, 1), "{args}: {refused:?}");
        assert!(refused.stderr.contains(said), "{args}: {refused:?}");
        stage.assert_clean();
    }
}

/// How memfs is served by either trait, and by either runtime.
const ON_BOTH_FACES: [&str; 3] = ["", "--async", "--async --runtime current-thread --threads 3"];

/// What an example says when it is ready.
const READY: &str = "Ctrl-C unmounts.";
const SOON: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(30);

/// Where examples are run: as which user, and with which directory for temporary files, so that
/// their default mountpoints are in it.
struct Stage {
    /// What is mounted below it goes when it does.
    place: Place,
}

enum Place {
    Root(Mountpoint),
    Nobody(Ordinary),
}

impl Stage {
    fn root() -> Self {
        Self { place: Place::Root(Mountpoint::named("tmp")) }
    }

    fn nobody() -> Self {
        Self { place: Place::Nobody(Ordinary::new()) }
    }

    fn is_root(&self) -> bool {
        matches!(self.place, Place::Root(_))
    }

    fn tmp(&self) -> &Path {
        match &self.place {
            Place::Root(mountpoint) => mountpoint.path(),
            Place::Nobody(ordinary) => &ordinary.home,
        }
    }

    fn default_mountpoint(&self, name: &str) -> PathBuf {
        self.tmp().join(format!("async-fuser-{name}"))
    }

    /// A program, as this stage's user.
    #[track_caller]
    fn run(&self, program: impl AsRef<Path>) -> Run {
        let run = match &self.place {
            Place::Root(_) => run(program),
            Place::Nobody(ordinary) => ordinary.run(program),
        };
        run.env("TMPDIR", self.tmp()).env("LC_ALL", "C.UTF-8").env("HOME", "/nonexistent")
    }

    #[track_caller]
    fn example(&self, name: &str) -> Run {
        match &self.place {
            Place::Root(_) => self.run(example(name)),
            Place::Nobody(ordinary) => self.run(ordinary.programs.join(name)),
        }
    }

    /// Starts an example with arguments that have no blanks in them, and waits until it is mounted.
    #[track_caller]
    fn start(&self, name: &str, args: &str) -> Running {
        let mut started = self.example(name).args(args.split_whitespace()).start();
        started.wait_for(READY, LONG);
        started
    }

    /// A script, run in the default mountpoint.
    #[track_caller]
    fn sh(&self, name: &str, script: &str) -> Ran {
        let script = format!("cd \"$0\" || exit 99\n{script}");
        self.run("sh")
            .args(["-c", &script])
            .arg(self.default_mountpoint(name))
            .within(LONG)
            .output()
    }

    #[track_caller]
    fn prints(&self, name: &str, script: &str, expected: &str) {
        let ran = self.sh(name, script);
        assert!(ran.succeeded() && ran.stdout == expected, "{script}\n{ran:#?}");
    }

    #[track_caller]
    fn fails(&self, name: &str, script: &str, said: &str) {
        let ran = self.sh(name, script);
        assert!(!ran.succeeded() && ran.code() != 99, "{script}\n{ran:#?}");
        assert!(ran.stderr.contains(said), "{script}\n{ran:#?}");
    }

    /// A program in Python, run in the default mountpoint. (It waits for what a shell cannot wait for.)
    #[track_caller]
    fn python(&self, name: &str, script: &str) -> Run {
        let script = format!("import os, sys\nos.chdir(sys.argv[1])\n{script}");
        self.run("python3").args(["-c", &script]).arg(self.default_mountpoint(name)).within(LONG)
    }

    /// The example does not start with these words.
    #[track_caller]
    fn refuses(&self, command: &str, said: &str) {
        let mut words = command.split(' ');
        let refused = self.example(words.next().expect("a name")).args(words).output();
        assert_eq!(refused.code(), 1, "{command}: {refused:?}");
        assert!(refused.stderr.contains(said), "{command}: {refused:?}");
    }

    /// The line in `mountinfo` of the default mountpoint.
    fn mount_line(&self, name: &str) -> Option<String> {
        let mounts = self.run("cat").arg("/proc/self/mountinfo").ok().stdout;
        let path = format!(" {} ", self.default_mountpoint(name).display());
        mounts.lines().find(|line| line.contains(&path)).map(String::from)
    }

    fn is_mounted(&self, name: &str) -> bool {
        self.mount_line(name).is_some()
    }

    /// Somebody who works in the default mountpoint: twice, each when told to [go on](Self::go_on).
    #[track_caller]
    fn busy(&self, name: &str) -> Running {
        let script = "cd \"$0\" && echo in && kill -STOP $$ \
            && echo text >file && grep -q text file && echo wrote && kill -STOP $$";
        let path = self.default_mountpoint(name);
        let mut busy = self.run("sh").args(["-c", script]).arg(path).start();
        busy.wait_for("in", SOON);
        busy
    }

    #[track_caller]
    fn go_on(&self, busy: &Running) {
        let stopped = || {
            let status = fs::read_to_string(format!("/proc/{}/status", busy.pid()));
            status.is_ok_and(|status| status.contains("State:\tT"))
        };
        eventually(SOON, "it stops", stopped);
        busy.signal(Signal::SIGCONT);
    }

    /// The example has ended well, and nothing is left of it.
    #[track_caller]
    fn ended(&self, example: &mut Running, name: &str) {
        let ran = example.wait(SOON);
        assert_eq!(ran.code(), 0, "{name}: {ran:?}");
        assert!(!self.is_mounted(name), "{name}");
        self.assert_clean();
    }

    /// Nothing is mounted any more, and no directory is left.
    #[track_caller]
    fn assert_clean(&self) {
        let left: Vec<_> = fs::read_dir(self.tmp())
            .expect("the temporary directory")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert!(left.is_empty(), "left: {left:?}");
        let mounts = self.run("cat").arg("/proc/self/mountinfo").ok().stdout;
        let below = format!(" {}/", self.tmp().display());
        assert!(!mounts.contains(&below), "{mounts}");
    }
}

impl Drop for Stage {
    /// After a failure the directories of default mountpoints are still there.
    fn drop(&mut self) {
        let Place::Root(mountpoint) = &self.place else { return };
        mountpoint.detach();
        for entry in fs::read_dir(mountpoint).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Where the files are that `passthrough` made to show.
#[track_caller]
fn backing_directory(passthrough: &Running) -> PathBuf {
    let said = passthrough.stdout();
    let path = said.lines().find_map(|line| line.strip_prefix("the backing files are in "));
    PathBuf::from(path.expect("it says where"))
}

/// The last edition that `notify_inval_inode -v` has printed.
fn last_edition(served: &Running) -> u32 {
    let said = served.stderr();
    said.lines().rev().find_map(|line| line.rsplit_once("edition ")?.1.parse().ok()).unwrap_or(0)
}

/// What `passthrough` counts: opens that pass through, others, reads, writes.
#[track_caller]
fn requests(stage: &Stage) -> (u64, u64, u64, u64) {
    let said = stage.sh("passthrough", "cat .requests").stdout;
    let numbers: Vec<u64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [passed, other, reads, writes] = numbers[..] else { panic!("{said:?}") };
    (passed, other, reads, writes)
}
