//! What a caller may ask of a mount, and what is refused before anything is mounted.

#![cfg_attr(not(target_os = "linux"), allow(dead_code))] // elsewhere helpers read the options

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use super::error::MountError;

/// How a filesystem is mounted and served.
///
/// Start from [`Config::default`] and set what should differ.
#[derive(Debug, Clone, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The mount options, in any order. Options that contradict each other are refused.
    pub mount_options: Vec<MountOption>,
    /// Whose requests are let through to the filesystem.
    pub acl: SessionACL,
    /// How many threads serve requests. `None` is one thread.
    pub n_threads: Option<usize>,
    /// Give every thread its own descriptor of the connection (`FUSE_DEV_IOC_CLONE`), so that
    /// they do not contend for one. Linux only.
    pub clone_fd: bool,
    /// Heal a mountpoint whose last server died.
    ///
    /// Such a mountpoint answers everything with "transport endpoint is not connected". If this
    /// is set, the dead FUSE mount is detached and the new one takes its place; if not, mounting
    /// fails. A mount that still has a server is never touched.
    pub recover_stale: bool,
    /// How long dropping a session, or unmounting and joining it, waits for its users.
    ///
    /// A filesystem in use is unmounted lazily: its name is gone at once, its open files go on, and
    /// so does a copy of the mount in another mount namespace. After this time the session ends all
    /// the same, and they answer with an error. `None` is 5 seconds.
    pub busy_grace: Option<Duration>,
}

impl Config {
    /// Refuses options that contradict each other, or that cannot be handed on unchanged.
    pub(crate) fn check(&self) -> io::Result<()> {
        for (index, option) in self.mount_options.iter().enumerate() {
            option.check_value()?;
            let rival = self.mount_options[index + 1..].iter().find(|o| o.contradicts(option));
            if let Some(rival) = rival {
                return Err(MountError::options(format!(
                    "mount options '{}' and '{}' contradict each other: leave one out",
                    option.text(),
                    rival.text(),
                )));
            }
        }
        if self.wants_auto_unmount() && self.acl == SessionACL::Owner {
            return Err(MountError::options(
                "mount option 'auto_unmount' needs SessionACL::All or SessionACL::RootAndOwner: \
                 fusermount has to look at the mount to know that its server died, and without \
                 allow_other the kernel lets it see nothing",
            ));
        }
        Ok(())
    }

    /// How many read requests, unless there can be none or not so many.
    pub(crate) fn readers(&self) -> io::Result<usize> {
        let readers = self.n_threads.unwrap_or(1);
        let refused = |kind, why: &str| Err(io::Error::new(kind, why));
        match readers {
            0 => refused(io::ErrorKind::InvalidInput, "n_threads is 0: none to serve"),
            2.. if !cfg!(target_os = "linux") => refused(
                io::ErrorKind::Unsupported,
                "n_threads beyond 1 is supported on Linux alone",
            ),
            _ => Ok(readers),
        }
    }

    pub(crate) fn wants_auto_unmount(&self) -> bool {
        self.mount_options.contains(&MountOption::AutoUnmount)
    }

    /// The name of the source as `/proc/mounts` shows it, if one was chosen.
    pub(super) fn source(&self) -> Option<&str> {
        let name = self.mount_options.iter().rev().find_map(|option| match option {
            MountOption::FSName(name) => Some(name.as_str()),
            _ => None,
        });
        name.or_else(|| self.subtype())
    }

    pub(super) fn subtype(&self) -> Option<&str> {
        self.mount_options.iter().rev().find_map(|option| match option {
            MountOption::Subtype(subtype) => Some(subtype.as_str()),
            _ => None,
        })
    }

    /// Every option as one `-o` argument of a mount helper: joined with commas, and with those
    /// that belong to a value escaped.
    pub(super) fn helper_options(&self) -> String {
        let texts = self.mount_options.iter().map(MountOption::escaped);
        let acl = self.acl.mount_option().map(String::from);
        texts.chain(acl).collect::<Vec<_>>().join(",")
    }
}

/// One mount option. `man mount.fuse3` and `man mount` explain them at length.
#[derive(Debug, Eq, PartialEq, Hash, Clone)]
pub enum MountOption {
    /// The source's name, the first column of `/proc/mounts`.
    FSName(String),
    /// The filesystem's kind: its type in `/proc/mounts` becomes `fuse.` and this.
    Subtype(String),
    /// An option that has no variant here, handed on as it is.
    #[allow(clippy::upper_case_acronyms)]
    CUSTOM(String),

    /// Unmount when the mounting process ends, however it ends.
    ///
    /// A `fusermount3` process stays beside it for that. Needs [`SessionACL::All`] or
    /// [`SessionACL::RootAndOwner`], so a user other than root needs `user_allow_other` in
    /// `/etc/fuse.conf`.
    AutoUnmount,
    /// Let the kernel check permissions against the modes the filesystem reports.
    DefaultPermissions,

    /// Device files work as devices. Left out, they do not.
    Dev,
    /// Device files do not work as devices.
    NoDev,
    /// The set-user-id and set-group-id bits take effect. Left out, they do not.
    Suid,
    /// The set-user-id and set-group-id bits have no effect.
    NoSuid,
    /// Mount read-only: the kernel answers writers with `EROFS`.
    RO,
    /// Mount for reading and writing, as when left out.
    RW,
    /// Programs may be executed, as when left out.
    Exec,
    /// Programs may not be executed.
    NoExec,
    /// Reading updates access times, as when left out.
    Atime,
    /// Reading does not update access times.
    NoAtime,
    /// Changes to directories are synchronous.
    DirSync,
    /// All writing is synchronous.
    Sync,
    /// Writing is not synchronous, as when left out.
    Async,
}

impl MountOption {
    /// The option as `mount -o` spells it.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::FSName(name) => return Cow::Owned(format!("fsname={name}")),
            Self::Subtype(subtype) => return Cow::Owned(format!("subtype={subtype}")),
            Self::CUSTOM(text) => text,
            Self::AutoUnmount => "auto_unmount",
            Self::DefaultPermissions => "default_permissions",
            Self::Dev => "dev",
            Self::NoDev => "nodev",
            Self::Suid => "suid",
            Self::NoSuid => "nosuid",
            Self::RO => "ro",
            Self::RW => "rw",
            Self::Exec => "exec",
            Self::NoExec => "noexec",
            Self::Atime => "atime",
            Self::NoAtime => "noatime",
            Self::DirSync => "dirsync",
            Self::Sync => "sync",
            Self::Async => "async",
        })
    }

    /// [`text`](Self::text) with a backslash before every comma and backslash of a value.
    pub(super) fn escaped(&self) -> String {
        let text = self.text();
        let mut escaped = String::with_capacity(text.len());
        for c in text.chars() {
            if matches!(c, ',' | '\\') {
                escaped.push('\\');
            }
            escaped.push(c);
        }
        escaped
    }

    fn contradicts(&self, other: &Self) -> bool {
        use MountOption::*;
        matches!(
            (self, other),
            (Dev, NoDev) | (NoDev, Dev) | (Suid, NoSuid) | (NoSuid, Suid) | (RO, RW) | (RW, RO)
        ) || matches!(
            (self, other),
            (Exec, NoExec)
                | (NoExec, Exec)
                | (Atime, NoAtime)
                | (NoAtime, Atime)
                | (Sync, Async)
                | (Async, Sync)
        )
    }

    fn check_value(&self) -> io::Result<()> {
        let (Self::FSName(value) | Self::Subtype(value) | Self::CUSTOM(value)) = self else {
            return Ok(());
        };
        let refuse = |why: &str| Err(MountError::options(format!("mount option {self:?} {why}")));
        if value.contains('\0') {
            return refuse("has a NUL byte in it, which no mount interface can carry");
        }
        if matches!(self, Self::FSName(_)) {
            return Ok(());
        }
        if value.is_empty() {
            return refuse("is empty: leave it out");
        }
        if value.contains([',', '\\']) {
            return refuse(
                "has a comma or a backslash in it, which would be read as further options: \
                 give each option on its own",
            );
        }
        if matches!(self, Self::CUSTOM(_)) && value.starts_with("fd=") {
            return refuse("would replace the connection's own descriptor");
        }
        Ok(())
    }
}

/// Whose requests reach the filesystem.
#[derive(Default, Debug, Eq, PartialEq, Clone, Copy)]
pub enum SessionACL {
    /// Everyone's (`allow_other`).
    All,
    /// Root's and those of the user who mounted it. The kernel knows only `allow_other`, so the
    /// session itself answers everyone else with `EACCES`.
    RootAndOwner,
    /// Those of the user who mounted it.
    #[default]
    Owner,
}

impl SessionACL {
    /// What the kernel has to be told to let the requests through.
    pub(crate) fn mount_option(self) -> Option<&'static str> {
        match self {
            Self::All | Self::RootAndOwner => Some("allow_other"),
            Self::Owner => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY_PLAIN: [MountOption; 15] = [
        MountOption::AutoUnmount,
        MountOption::DefaultPermissions,
        MountOption::Dev,
        MountOption::NoDev,
        MountOption::Suid,
        MountOption::NoSuid,
        MountOption::RO,
        MountOption::RW,
        MountOption::Exec,
        MountOption::NoExec,
        MountOption::Atime,
        MountOption::NoAtime,
        MountOption::DirSync,
        MountOption::Sync,
        MountOption::Async,
    ];

    fn config(options: &[MountOption]) -> Config {
        Config { mount_options: options.to_vec(), acl: SessionACL::All, ..Config::default() }
    }

    #[test]
    fn exactly_the_opposites_contradict_and_the_error_names_both() {
        let opposites = [
            ("dev", "nodev"),
            ("suid", "nosuid"),
            ("ro", "rw"),
            ("exec", "noexec"),
            ("atime", "noatime"),
            ("sync", "async"),
        ];
        for a in &EVERY_PLAIN {
            for b in &EVERY_PLAIN {
                let (x, y) = (a.text(), b.text());
                let opposite =
                    opposites.iter().any(|&(p, q)| (x == p && y == q) || (x == q && y == p));
                match config(&[a.clone(), MountOption::CUSTOM("x".into()), b.clone()]).check() {
                    Ok(()) => assert!(!opposite, "{x} with {y} went through"),
                    Err(error) => {
                        assert!(opposite, "{x} with {y}: {error}");
                        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
                        let text = error.to_string();
                        assert!(text.contains(&format!("'{x}'")), "{text}");
                        assert!(text.contains(&format!("'{y}'")), "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn auto_unmount_needs_others_to_be_allowed() {
        let mut config = config(&[MountOption::AutoUnmount]);
        for (acl, fine) in
            [(SessionACL::All, true), (SessionACL::RootAndOwner, true), (SessionACL::Owner, false)]
        {
            config.acl = acl;
            assert_eq!(config.check().is_ok(), fine, "{acl:?}");
        }
        let error = config.check().expect_err("the owner alone is not enough");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("allow_other"), "{error}");
    }

    #[test]
    fn values_that_cannot_be_carried_are_refused() {
        use MountOption::{CUSTOM, FSName, Subtype};
        for bad in [
            FSName("a\0b".into()),
            Subtype("a\0b".into()),
            CUSTOM("a\0b".into()),
            Subtype("a,b".into()),
            Subtype("a\\b".into()),
            Subtype(String::new()),
            CUSTOM("a,b".into()),
            CUSTOM("a\\b".into()),
            CUSTOM(String::new()),
            CUSTOM("fd=0".into()),
        ] {
            let error = config(std::slice::from_ref(&bad)).check().expect_err("refused");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad:?}");
        }
        for good in [
            FSName("a,b\\c=d e".into()),
            FSName(String::new()),
            Subtype("memfs".into()),
            CUSTOM("allow_other".into()),
            CUSTOM("max_read=4096".into()),
        ] {
            config(std::slice::from_ref(&good)).check().unwrap_or_else(|e| panic!("{good:?}: {e}"));
        }
    }

    #[test]
    fn a_helper_gets_values_escaped_and_options_joined() {
        let config = config(&[
            MountOption::FSName("a,b\\c".into()),
            MountOption::Subtype("kind".into()),
            MountOption::CUSTOM("max_read=4096".into()),
            MountOption::RO,
        ]);
        assert_eq!(
            config.helper_options(),
            r"fsname=a\,b\\c,subtype=kind,max_read=4096,ro,allow_other"
        );
        assert_eq!(Config::default().helper_options(), "");
    }

    #[test]
    fn the_source_is_the_name_or_else_the_subtype_and_the_last_one_counts() {
        use MountOption::{FSName, Subtype};
        assert_eq!(config(&[]).source(), None);
        assert_eq!(config(&[Subtype("s".into())]).source(), Some("s"));
        let both = config(&[FSName("n".into()), FSName("m".into()), Subtype("s".into())]);
        assert_eq!((both.source(), both.subtype()), (Some("m"), Some("s")));
    }
}
