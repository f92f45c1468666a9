//! Both sides of the chaos: `chaos serve MOUNTPOINT ENGINE [writeback]` keeps files in memory until
//! it is unmounted, and `chaos use MOUNTPOINT SEED` does all there is to do with files until there is
//! nobody any more who serves them.

use std::env;
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{ExitCode, id};
use std::thread;

use async_fuser::lib_async::AsyncSessionBuilder;
use async_fuser::{Config, MountOption, Session};
use examples::memfs::{MemFs, Options};
use nix::fcntl::{Flock, FlockArg};
use tests::{Random, Workers, open_files, sys, thread_count, without_tasks};

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["serve", mountpoint, engine] => serve(mountpoint, engine, false),
        ["serve", mountpoint, engine, "writeback"] => serve(mountpoint, engine, true),
        ["use", mountpoint, seed] => seed.parse::<u64>().map_err(Into::into).map(|seed| {
            let users: Vec<_> = (0..4)
                .map(|user: u64| {
                    let (at, random) = (mountpoint.to_owned(), Random::new(seed ^ user << 32));
                    thread::spawn(move || use_until_it_ends(Path::new(&at), random))
                })
                .collect();
            let done: u64 = users.into_iter().map(|user| user.join().expect("no panic")).sum();
            println!("{done}");
        }),
        _ => Err("chaos serve MOUNTPOINT ENGINE | chaos use MOUNTPOINT SEED".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(mountpoint: &str, engine: &str, writeback: bool) -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.mount_options.push(MountOption::DefaultPermissions);
    let (workers, readers) = match engine {
        "sync" => (None, 1),
        "sync-4" => (None, 4),
        "current" => (Some(Workers::Current), 1),
        "two" => (Some(Workers::Two), 1),
        "two-4" => (Some(Workers::Two), 4),
        _ => return Err("no such engine".into()),
    };
    config.n_threads = Some(readers);
    config.clone_fd = readers > 1;
    let memfs = MemFs::new(Options { writeback, ..Options::default() });
    if let Some(workers) = workers {
        let runtime = workers.runtime();
        runtime.block_on(async {
            let builder = AsyncSessionBuilder::new(memfs).config(&config).signals(true);
            let session = builder.spawn(mountpoint).await?;
            println!("ready");
            session.join().await?;
            without_tasks().await;
            Ok::<_, io::Error>(())
        })?;
    } else {
        let session = Session::new(memfs, mountpoint, &config)?;
        println!("ready");
        session.run()?;
    }
    let left = open_files(id()).into_iter().filter(|file| file == Path::new("/dev/fuse")).count();
    let threads = (0..1000).map(|_| {
        thread::sleep(std::time::Duration::from_millis(1));
        thread_count(id())
    });
    // One may be on its way out.
    let is_alone = threads.into_iter().any(|threads| threads == 1);
    if left > 0 || !is_alone {
        return Err(format!("{left} descriptors, {} threads left", thread_count(id())).into());
    }
    println!("ended well");
    Ok(())
}

/// Does one thing after the other until the filesystem is gone. Returns how many came off.
fn use_until_it_ends(at: &Path, mut random: Random) -> u64 {
    let mut done = 0;
    loop {
        let result = one_thing(at, &mut random);
        // Below the mount is another, which nobody may write to.
        let gone = [libc::ENOTCONN, libc::ECONNABORTED, libc::EROFS];
        match result.map_err(|error| error.raw_os_error()) {
            Ok(()) => done += 1,
            Err(errno) if errno.is_some_and(|errno| gone.contains(&errno)) => return done,
            // Much fails that is done at random.
            Err(_) => {}
        }
    }
}

fn one_thing(at: &Path, random: &mut Random) -> io::Result<()> {
    let dir = at.join(format!("dir-{}", random.below(3)));
    let [path, other] = [(); 2].map(|()| {
        let dir = if random.below(4) == 0 { at.to_owned() } else { dir.clone() };
        dir.join(format!("file-{}", random.below(6)))
    });
    let data = vec![random.below(256) as u8; 1 + random.below(100_000) as usize];
    let offset = random.below(200_000);
    match random.below(24) {
        0 | 1 => fs::create_dir(&dir),
        2 => fs::remove_dir(&dir),
        3..=5 => fs::write(&path, &data),
        6 => fs::read(&path).map(drop),
        7 => OpenOptions::new().append(true).open(&path)?.write_all(&data),
        8 => File::options().write(true).open(&path)?.write_all_at(&data, offset),
        9 => File::open(&path)?.read_at(&mut vec![0; data.len()], offset).map(drop),
        10 => File::options().write(true).open(&path)?.set_len(offset),
        11 => fs::rename(&path, &other),
        12 => fs::hard_link(&path, &other),
        13 => symlink("file-0", &path),
        14 => fs::remove_file(&path),
        15 => fs::read_dir(&dir)?.try_for_each(|entry| entry?.metadata().map(drop)),
        16 => fs::read_dir(at)?.try_for_each(|entry| entry.map(drop)),
        17 => sys::setxattr(&path, "user.chaos", &data[..data.len().min(4000)]),
        18 => sys::getxattr(&path, "user.chaos", &mut [0; 4000]).map(drop),
        19 => fs::set_permissions(&path, fs::Permissions::from_mode(0o600 + offset as u32 % 64)),
        20 => {
            let file = File::options().read(true).write(true).open(&path)?;
            // Waits for whoever has it, and is given back with the file.
            let file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
            file.sync_all()
        }
        21 => {
            // Nobody can find this one.
            let nameless =
                OpenOptions::new().read(true).write(true).custom_flags(libc::O_TMPFILE).open(at);
            let mut nameless = nameless?;
            nameless.write_all(&data)?;
            nameless.seek(SeekFrom::Start(0))?;
            nameless.read_to_end(&mut Vec::new()).map(drop)
        }
        22 => {
            // Open when its name goes, and after.
            let mut options = File::options();
            let file = options.read(true).write(true).create(true).truncate(true).open(&path)?;
            file.write_all_at(&data, 0)?;
            fs::remove_file(&path)?;
            file.read_at(&mut vec![0; data.len()], 0).map(drop)
        }
        _ => fs::metadata(&path).map(drop),
    }
}
