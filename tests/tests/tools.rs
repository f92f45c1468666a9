//! What people do with files, on memfs: git, sqlite3, tar, rsync, fio and flock, as root and as an
//! ordinary user, by the sync and by the asynchronous trait, with one thread and with several, with and
//! without the kernel's writeback cache.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal::SIGINT;
use tests::{Mountpoint, Ordinary, Run, Running, example, require_tool, run};

/// The tests for each way to mount.
macro_rules! mounted {
    ($($how:ident: $user:ident $args:literal;)*) => {$(
        mod $how {
            use super::{Served, User};

            #[test]
            fn git_keeps_a_repository() {
                super::git(Served::new(User::$user, $args));
            }

            #[test]
            fn sqlite_keeps_a_database_that_two_write_to() {
                super::sqlite(Served::new(User::$user, $args));
            }

            #[test]
            fn tar_takes_everything_out_and_puts_it_back() {
                super::tar(Served::new(User::$user, $args));
            }

            #[test]
            fn rsync_has_nothing_to_do_the_second_time() {
                super::rsync(Served::new(User::$user, $args));
            }

            #[test]
            fn fio_reads_what_it_wrote() {
                super::fio(Served::new(User::$user, $args));
            }

            #[test]
            fn flock_lets_one_in_at_a_time() {
                super::flock(Served::new(User::$user, $args));
            }
        }
    )*};
}

mounted! {
    as_root: Root "";
    as_root_with_threads: Root "--threads 4 --clone-fd";
    as_root_with_writeback: Root "--writeback --threads 4";
    as_nobody: Nobody "";
    as_nobody_with_threads: Nobody "--threads 4 --clone-fd";
    as_nobody_with_writeback: Nobody "--writeback --check-permissions";
    as_root_async: Root "--async";
    as_root_async_with_readers: Root "--async --threads 4 --check-permissions";
    as_root_async_with_writeback: Root "--async --writeback --runtime current-thread";
    as_nobody_async: Nobody "--async";
    as_nobody_async_with_readers: Nobody "--async --threads 4 --writeback";
}

fn git(memfs: Served) {
    require_tool("git");
    memfs.prints(
        r#"
        export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 HOME=$PWD
        export GIT_AUTHOR_NAME=me GIT_AUTHOR_EMAIL=me@example.org
        export GIT_COMMITTER_NAME=me GIT_COMMITTER_EMAIL=me@example.org

        git init -q -b main work
        cd work
        for d in $(seq 20); do
          mkdir -p tree/$d
          for f in $(seq 20); do seq $d $((d * f)) >tree/$d/$f; done
        done
        head -c 500000 /dev/urandom >binary
        ln -s tree/1/1 link
        chmod +x tree/2/2
        git add -A
        git commit -qm 'many files'
        git status --porcelain

        git mv tree/3 moved
        git rm -qr tree/4
        echo more >>tree/5/5
        echo new >'a new ü'
        git add -A
        git commit -qm changes
        git checkout -q -b side HEAD~
        echo side >>tree/6/6
        git commit -qam side
        git checkout -q main
        git merge -q --no-edit side
        echo stashed >>tree/7/7
        git stash -q
        git stash pop -q
        git commit -qam stash

        git clone -q . ../linked
        git clone -q --no-local "file://$PWD" ../copied
        git gc -q --aggressive --prune=now
        git repack -adfq
        git prune-packed
        for repository in . ../linked ../copied; do
          git -C $repository fsck --full --strict --no-dangling --no-progress 2>&1
          git -C $repository status --porcelain
          diff -r --exclude=.git . $repository
        done
        cd ../linked
        for commit in $(git rev-list origin/main) origin/side; do
          git checkout -q $commit
          git status --porcelain
        done
        git -C ../work worktree add -q ../more side
        git -C ../more status --porcelain
        git -C ../copied ls-files | wc -l
        git -C ../copied rev-list --count main
        find ../work/tree ../work/moved -type f -perm /111 | wc -l
        "#,
        "383\n5\n1\n",
    );
    memfs.end();
}

fn sqlite(memfs: Served) {
    require_tool("sqlite3");
    memfs.prints(
        r#"
        inserts() { # writer, number
          echo '.timeout 60000'
          for n in $(seq $2); do
            echo "BEGIN IMMEDIATE; INSERT INTO t VALUES ($1, $n, randomblob(2000)); COMMIT;"
          done
        }
        for mode in wal delete; do
          sqlite3 $mode "PRAGMA journal_mode=$mode; CREATE TABLE t (writer, n, data, PRIMARY KEY (writer, n));"
          inserts 1 150 | sqlite3 -bail $mode & one=$!
          inserts 2 150 | sqlite3 -bail $mode & two=$!
          seen=0
          while kill -0 $one 2>/dev/null || kill -0 $two 2>/dev/null; do
            now=$(sqlite3 -cmd '.timeout 60000' $mode 'SELECT count(*) FROM t')
            [ "$now" -ge "$seen" ] || echo "$now after $seen"
            seen=$now
          done
          wait $one
          wait $two
          sqlite3 $mode 'SELECT writer, count(*), min(n), max(n), sum(length(data)) FROM t GROUP BY writer; PRAGMA integrity_check;'
        done
        # A writer that is killed in the middle of a transaction: the rest is there, and nothing of it.
        mkfifo pipe
        touch said
        sqlite3 wal <pipe >>said &
        killed=$!
        disown
        exec 3>pipe
        echo 'PRAGMA cache_size = 2; BEGIN; DELETE FROM t WHERE writer = 1; SELECT 1;' >&3
        while ! grep -q 1 said; do sleep .01; done
        kill -9 $killed
        exec 3>&-
        while kill -0 $killed 2>/dev/null; do sleep .01; done
        sqlite3 wal 'SELECT count(*) FROM t; PRAGMA integrity_check; PRAGMA wal_checkpoint(TRUNCATE); VACUUM; PRAGMA integrity_check;'
        ls wal-* 2>/dev/null || echo 'no wal left'
        "#,
        "wal\n1|150|1|150|300000\n2|150|1|150|300000\nok\n\
         delete\n1|150|1|150|300000\n2|150|1|150|300000\nok\n\
         300\nok\n0|0|0\nok\nno wal left\n",
    );
    memfs.end();
}

fn tar(memfs: Served) {
    for program in ["tar", "setfattr"] {
        require_tool(program);
    }
    let script = format!(
        r#"
        {TREE}
        pack() {{ tar --format=posix --xattrs --xattrs-include='*' -S -C $1 -cf - .; }}
        unpack() {{ mkdir -p $1; tar --warning=no-timestamp --xattrs --xattrs-include='*' -p -C $1 -xf -; }}
        pack tree >"$DISK/tar"
        unpack again <"$DISK/tar"
        manifest tree >"$DISK/tree.txt"
        manifest again >"$DISK/again.txt"
        diff "$DISK/tree.txt" "$DISK/again.txt"
        # To the disk and back from there.
        unpack "$DISK/out" <"$DISK/tar"
        pack "$DISK/out" | unpack back
        manifest "$DISK/out" | diff "$DISK/tree.txt" -
        manifest back | diff "$DISK/tree.txt" -
        tar -C again -df "$DISK/tar"
        for tree in again back; do [ $(stat -c %b $tree/sparse) -lt 100 ] || stat $tree/sparse; done
        wc -l <"$DISK/tree.txt" | awk '$1 > 100 {{ print "compared" }}'
        "#
    );
    memfs.prints(&script, "compared\n");
    memfs.end();
}

fn rsync(memfs: Served) {
    for program in ["rsync", "setfattr"] {
        require_tool(program);
    }
    let script = format!(
        r#"
        {TREE}
        sync() {{ rsync -aHAX --sparse --itemize-changes --delete "$@"; }}
        for copy in copy "$DISK/copy"; do
          [ $(sync tree/ "$copy/" | wc -l) -gt 100 ] || echo 'too little'
          sync tree/ "$copy/"
          sync --checksum tree/ "$copy/"
          manifest "$copy" >"$DISK/copy.txt"
          manifest tree | diff - "$DISK/copy.txt"
        done
        # From the disk.
        sync "$DISK/copy/" back/ >/dev/null
        sync "$DISK/copy/" back/
        manifest back | diff - "$DISK/copy.txt"
        # Some changes, and only they.
        echo more >>tree/many/7
        rm tree/many/8
        mv tree/many/9 tree/many/nine
        chmod 600 tree/many/10
        sync tree/ copy/ | LC_ALL=C sort
        sync --inplace --no-whole-file tree/ copy/
        "#
    );
    memfs.prints(
        &script,
        "*deleting   many/8\n*deleting   many/9\n.d..t...... many/\n\
         .f...p..... many/10\n>f+++++++++ many/nine\n>f.st...... many/7\n",
    );
    memfs.end();
}

fn fio(memfs: Served) {
    require_tool("fio");
    let ran = memfs
        .run("fio")
        .arg(format!("--directory={}", memfs.mountpoint.display()))
        .arg(format!("--aux-path={}", memfs.disk.display()))
        .args([
            "--rw=randrw",
            "--verify=crc32c",
            "--verify_fatal=1",
            "--verify_state_save=0",
            "--randrepeat=1",
            "--size=4M",
            "--bsrange=512-64k",
            "--blockalign=512",
            "--numjobs=2",
            "--output-format=terse",
            "--terse-version=3",
            "--name=psync",
            "--ioengine=psync",
            "--fsync=50",
            "--name=mmap",
            "--ioengine=mmap",
            "--name=direct",
            "--ioengine=psync",
            "--direct=1",
            "--name=vectors",
            "--ioengine=pvsync",
            "--fallocate=none",
        ])
        .within(MINUTES)
        .ok();
    let jobs: Vec<_> = ran.stdout.lines().filter(|line| line.starts_with("3;")).collect();
    assert_eq!(jobs.len(), 8, "{ran:?}");
    for job in jobs {
        let fields: Vec<_> = job.split(';').collect();
        // The name, the error, kilobytes read and written.
        let [name, error, read, written] = [2, 4, 5, 46].map(|field| fields[field]);
        assert_eq!(error, "0", "{job}");
        for amount in [read, written] {
            assert!(amount.parse::<u64>().is_ok_and(|kilobytes| kilobytes > 1000), "{name}: {job}");
        }
    }
    memfs.end();
}

fn flock(memfs: Served) {
    require_tool("flock");
    memfs.prints(
        r#"
        echo 0 >counter
        for worker in 1 2 3 4; do
          for n in $(seq 25); do
            flock lock sh -c 'read n <counter; echo $((n + 1)) >counter'
          done &
        done
        wait
        cat counter
        flock -s lock flock -s -n lock echo 'readers share'

        exec 3>lock
        flock 3
        flock -n lock true || echo taken
        # An alarm interrupts it.
        flock -w .2 lock true || echo 'not in time'
        flock lock echo 'never' & killed=$!
        disown
        flock lock echo 'in the end' & waits=$!
        sleep .3
        kill -9 $killed
        while kill -0 $killed 2>/dev/null; do sleep .01; done
        kill -0 $waits && echo 'waits'
        flock -u 3
        wait $waits
        flock -n 3 && echo 'free again'
        "#,
        "100\nreaders share\ntaken\nnot in time\nwaits\nin the end\nfree again\n",
    );
    memfs.end();
}

/// Makes `tree`, with everything a filesystem can hold, and defines `manifest`, which says all about
/// a tree that a copy has to have too.
const TREE: &str = r#"
    mkdir -p tree/many tree/empty tree/deep/er/and/deeper
    cd tree
    for n in $(seq 100); do seq $n $((n * n)) >many/$n; done
    head -c 300000 /dev/urandom >binary
    ln binary 'hard link'
    ln binary many/third
    ln -s many/1 symlink
    ln -s /no/such dangling
    mkfifo fifo
    truncate -s 20M sparse
    printf middle | dd of=sparse bs=1 seek=10000000 conv=notrunc 2>/dev/null
    printf 'a name\nof two lines' >'a name
of two lines'
    printf x >"$(printf 'not \377 UTF-8')"
    chmod 4711 many/1
    chmod 1777 empty
    chmod 0 many/2
    chmod 2755 deep
    setfattr -n user.comment -v 'a value' binary
    setfattr -n user.empty many/3
    setfattr -n user.of-a-directory -v 0x00ff00 deep
    if [ $(id -u) = 0 ]; then
      mknod null c 1 3
      mknod disk b 7 200
      chown daemon:bin many/5
      chown -h bin:daemon symlink
      setfattr -n trusted.secret -v hidden many/6
      setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 many/11
      chmod 600 many/2
    else
      chmod 400 many/2
    fi
    find . -exec touch -h -d '2020-02-02 02:02:02.222222222Z' {} +
    touch -d '1969-07-20 20:17:40.123456789Z' many/12
    touch -h -d '2038-01-20 03:14:08Z' symlink
    touch -d '2001-09-09 01:46:40.000000001Z' deep empty .
    cd ..
    manifest() (
      cd "$1"
      export LC_ALL=C
      find . -type d -printf '%p %y %m %U %G %T@\n' -o -printf '%p %y %m %n %U %G %s %T@ %l\n' | sort
      find . -type f -exec sha256sum {} + | sort -k 2
      find . \( -type f -o -type d \) -print0 | sort -z | xargs -0 getfattr -hd -m - -e hex --absolute-names
      [ binary -ef 'hard link' ] && [ binary -ef many/third ] || echo 'not linked'
      if [ -c null ]; then stat -c '%t %T' null disk; fi
    )
"#;

const SOON: Duration = Duration::from_secs(20);
const MINUTES: Duration = Duration::from_secs(180);

#[derive(Clone, Copy, Debug)]
enum User {
    Root,
    Nobody,
}

/// A memfs that is mounted, and its user.
struct Served {
    memfs: Running,
    mountpoint: PathBuf,
    /// A directory elsewhere.
    disk: PathBuf,
    place: Place,
}

enum Place {
    Root(Mountpoint),
    Nobody(Ordinary),
}

impl Served {
    #[track_caller]
    fn new(user: User, args: &str) -> Self {
        let place = match user {
            User::Root => Place::Root(Mountpoint::new()),
            User::Nobody => Place::Nobody(Ordinary::new()),
        };
        let [mountpoint, disk] = match &place {
            Place::Root(mountpoint) => {
                [mountpoint.path().to_owned(), mountpoint.beside().join("disk")]
            }
            Place::Nobody(ordinary) => ["mnt", "disk"].map(|name| ordinary.home.join(name)),
        };
        let program = match &place {
            Place::Root(_) => example("memfs"),
            Place::Nobody(ordinary) => ordinary.programs.join("memfs"),
        };
        place.run("mkdir").arg("-p").args([&mountpoint, &disk]).ok();
        let mut memfs = place.run(program).args(args.split_whitespace()).arg(&mountpoint).start();
        memfs.wait_for("Ctrl-C unmounts.", SOON);
        Self { memfs, mountpoint, disk, place }
    }

    /// A program, as the user whose mount it is.
    #[track_caller]
    fn run(&self, program: impl AsRef<Path>) -> Run {
        self.place.run(program)
    }

    /// A script, run in the mount until a command fails, says this and nothing else.
    #[track_caller]
    fn prints(&self, script: &str, expected: &str) {
        let script = format!("set -eu\numask 022\ncd \"$0\"\nDISK=$1\n{script}");
        let ran = self
            .run("bash")
            .args(["-o", "pipefail", "-c", &script])
            .args([&self.mountpoint, &self.disk])
            .env("LC_ALL", "C.UTF-8")
            .within(MINUTES)
            .output();
        assert!(
            ran.succeeded() && ran.stdout == expected && ran.stderr.is_empty(),
            "{}\n--- stdout\n{}\n--- stderr\n{}",
            ran.status,
            ran.stdout,
            ran.stderr
        );
    }

    /// Ends it: it says nothing, and nothing is left.
    #[track_caller]
    fn end(mut self) {
        self.memfs.signal(SIGINT);
        let ran = self.memfs.wait(SOON);
        assert!(ran.succeeded() && ran.stderr.is_empty(), "{ran:?}");
        let mounts = self.run("cat").arg("/proc/self/mountinfo").ok().stdout;
        assert!(!mounts.contains(&format!(" {} ", self.mountpoint.display())), "{mounts}");
    }
}

impl Place {
    #[track_caller]
    fn run(&self, program: impl AsRef<Path>) -> Run {
        match self {
            Self::Root(_) => run(program),
            Self::Nobody(ordinary) => ordinary.run(program),
        }
    }
}
