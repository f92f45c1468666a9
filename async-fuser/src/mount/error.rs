//! What a failed mount or unmount tells its caller: the step, the path, the system's word, and
//! what to do.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// The payload of every [`io::Error`] that mounting and unmounting return.
#[derive(Debug)]
pub(super) struct MountError {
    /// What was tried, as a phrase that a path can follow.
    step: &'static str,
    path: Option<PathBuf>,
    /// What went wrong, if it is not `source` that says it.
    what: Option<String>,
    source: Option<io::Error>,
    /// What to do about it.
    advice: Option<String>,
}

impl MountError {
    /// Options that were refused before anything was tried.
    pub(super) fn options(what: impl Into<String>) -> io::Error {
        let what = Some(what.into());
        Self { step: "", path: None, what, source: None, advice: None }
            .kind(ErrorKind::InvalidInput)
    }

    /// A step that failed for a reason the system has no number for.
    pub(super) fn because(
        kind: ErrorKind,
        step: &'static str,
        path: &Path,
        what: impl Into<String>,
        advice: Option<&str>,
    ) -> io::Error {
        let (path, what) = (Some(path.to_owned()), Some(what.into()));
        Self { step, path, what, source: None, advice: advice.map(String::from) }.kind(kind)
    }

    /// A step that the system refused.
    pub(super) fn system(
        step: &'static str,
        path: &Path,
        source: impl Into<io::Error>,
        advice: Option<&str>,
    ) -> io::Error {
        let source = source.into();
        let kind = match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENODEV | Errno::ENXIO) => ErrorKind::Unsupported,
            _ => source.kind(),
        };
        let advice = advice.map(String::from);
        Self { step, path: Some(path.to_owned()), what: None, source: Some(source), advice }
            .kind(kind)
    }

    fn kind(self, kind: ErrorKind) -> io::Error {
        io::Error::new(kind, self)
    }
}

impl Display for MountError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(path) = &self.path {
            write!(f, "{} {path:?}", self.step)?;
            separator = ": ";
        }
        if let Some(source) = &self.source {
            write!(f, "{separator}{source}")?;
            separator = ": ";
        }
        if let Some(what) = &self.what {
            write!(f, "{separator}{what}")?;
            separator = ": ";
        }
        if let Some(advice) = &self.advice {
            write!(f, "{separator}{advice}")?;
        }
        Ok(())
    }
}

impl Error for MountError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_the_step_the_path_the_reason_and_the_way_out() {
        let error = MountError::system(
            "cannot mount on",
            Path::new("/mnt/a b"),
            Errno::EBUSY,
            Some("unmount it first"),
        );
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);
        let text = error.to_string();
        assert!(text.starts_with("cannot mount on \"/mnt/a b\": "), "{text}");
        assert!(text.ends_with(": unmount it first"), "{text}");
        let inner = error.get_ref().and_then(|inner| inner.source()).expect("the system's error");
        let inner = inner.downcast_ref::<io::Error>().expect("an io::Error");
        assert_eq!(inner.raw_os_error(), Some(Errno::EBUSY as i32));
    }

    #[test]
    fn a_kernel_without_fuse_is_unsupported() {
        let error = MountError::system("cannot open", Path::new("/dev/fuse"), Errno::ENODEV, None);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
