//! The INIT negotiation: what the kernel offers, what the filesystem wants, what both settle on.

use std::cmp::max;
use std::time::Duration;

use zerocopy::IntoBytes;

use super::DecodeError;
use crate::abi::{
    FUSE_COMPAT_22_INIT_OUT_SIZE, FUSE_COMPAT_INIT_OUT_SIZE, FUSE_KERNEL_MINOR_VERSION,
    FUSE_KERNEL_VERSION, fuse_init_in, fuse_init_out,
};
use crate::types::{InitFlags, Version};

/// How the kernel shall treat this mount.
///
/// The kernel offers capabilities and limits when it mounts; the filesystem chooses among them in
/// its `init` method. What is not set there has the values named at each method.
#[derive(Debug)]
pub struct KernelConfig {
    version: Version,
    offered: InitFlags,
    surroundings: Surroundings,
    requested: InitFlags,
    offered_readahead: u32,
    max_readahead: u32,
    max_background: u16,
    congestion_threshold: Option<u16>,
    max_write: u32,
    time_granularity: Duration,
    max_stack_depth: u32,
    request_timeout: u16,
}

impl KernelConfig {
    /// The configuration the filesystem starts from.
    fn new(request: &InitRequest, surroundings: &Surroundings) -> Self {
        Self {
            version: request.version,
            offered: request.flags,
            surroundings: *surroundings,
            requested: default_capabilities() & request.flags,
            offered_readahead: request.max_readahead,
            max_readahead: request.max_readahead,
            max_background: 16,
            congestion_threshold: None,
            max_write: MAX_WRITE,
            time_granularity: Duration::from_nanos(1),
            max_stack_depth: 0,
            request_timeout: 0,
        }
    }

    /// Ask for capabilities, beside those that are on by default: `FUSE_ASYNC_READ`,
    /// `FUSE_BIG_WRITES` and `FUSE_MAX_PAGES`.
    ///
    /// From the answer to INIT on, the kernel behaves as the capability says. Some of them are
    /// promises of the filesystem, for example to check locks or to clear setuid bits.
    ///
    /// Pairs that exclude each other are not refused here, the kernel decides:
    ///
    /// * `FUSE_HANDLE_KILLPRIV` and `FUSE_HANDLE_KILLPRIV_V2`: the second one wins.
    /// * `FUSE_AUTO_INVAL_DATA` and `FUSE_EXPLICIT_INVAL_DATA`: the first one wins.
    /// * `FUSE_EXPORT_SUPPORT` and `FUSE_NO_EXPORT_SUPPORT`: the second one wins.
    /// * `FUSE_WRITEBACK_CACHE` and `FUSE_PASSTHROUGH`: the first one wins. Kernels switch
    ///   passthrough off beside it, so it is not asked for and a warning is logged.
    ///
    /// `FUSE_READDIRPLUS_AUTO` means something only beside `FUSE_DO_READDIRPLUS`.
    ///
    /// # Errors
    ///
    /// If the kernel does not offer some of the capabilities, or this library cannot honour them:
    /// exactly those. Nothing is added then. [`refusal`](Self::refusal) has the reasons in words;
    /// they are logged as a warning too.
    pub fn add_capabilities(&mut self, capabilities: InitFlags) -> Result<(), InitFlags> {
        let refused = bits(capabilities)
            .filter(|&bit| self.why_refused(bit).is_some())
            .fold(InitFlags::empty(), InitFlags::union);
        if let Some(reasons) = self.refusal(refused) {
            log::warn!("no capability was added: {reasons}");
            return Err(refused);
        }
        self.requested |= capabilities;
        Ok(())
    }

    /// Take back capabilities that are asked for, such as those that are on by default.
    pub fn remove_capabilities(&mut self, capabilities: InitFlags) {
        self.requested -= capabilities;
    }

    /// Other values to start from: these capabilities as far as they are offered, and this many
    /// background requests.
    #[cfg(feature = "async")]
    pub(crate) fn prefer(&mut self, capabilities: InitFlags, max_background: u16) {
        self.requested |= capabilities & self.offered;
        self.max_background = max_background;
    }

    /// Set how many background requests, such as readahead and asynchronous direct I/O, the kernel
    /// sends before it waits for answers. 16 if not set.
    ///
    /// Returns the previous value. For mounts of unprivileged users the kernel lowers it to
    /// `/sys/module/fuse/parameters/max_user_bgreq`.
    ///
    /// # Errors
    ///
    /// If it is 0: the nearest value that can be set, 1.
    pub fn set_max_background(&mut self, value: u16) -> Result<u16, u16> {
        if value == 0 {
            return Err(1);
        }
        Ok(std::mem::replace(&mut self.max_background, value))
    }

    /// Set with how many background requests under way the kernel takes the filesystem for
    /// congested and holds back readahead. Three quarters of the most if not set, and never more
    /// than [`set_max_background`](Self::set_max_background) allows.
    ///
    /// Returns the previous value.
    ///
    /// # Errors
    ///
    /// If it is 0: the nearest value that can be set, 1.
    pub fn set_congestion_threshold(&mut self, value: u16) -> Result<u16, u16> {
        if value == 0 {
            return Err(1);
        }
        let previous = self.congestion_threshold();
        self.congestion_threshold = Some(value);
        Ok(previous)
    }

    /// Set the largest number of bytes the kernel puts into one write request. 16 MiB if not set.
    ///
    /// The kernel has a limit of its own, on Linux `fs.fuse.max_pages_limit` pages (1 MiB unless
    /// changed), or 32 pages without `FUSE_MAX_PAGES`: the answer to INIT names the smaller.
    ///
    /// Returns the previous value.
    ///
    /// # Errors
    ///
    /// If it is below 4096, which the kernel would raise to 4096, or beyond 16 MiB: the nearest
    /// value that can be set.
    pub fn set_max_write(&mut self, value: u32) -> Result<u32, u32> {
        let nearest = value.clamp(MIN_WRITE, MAX_WRITE);
        if nearest != value {
            return Err(nearest);
        }
        Ok(std::mem::replace(&mut self.max_write, value))
    }

    /// Set how many bytes the kernel reads ahead of a program that reads in sequence. What the
    /// kernel offers if not set.
    ///
    /// Returns the previous value.
    ///
    /// # Errors
    ///
    /// If it is 0 or beyond what the kernel offers: the nearest value that can be set.
    pub fn set_max_readahead(&mut self, value: u32) -> Result<u32, u32> {
        // A kernel that offers none leaves 0 as the only choice.
        let nearest = max(value, 1).min(self.offered_readahead);
        if nearest != value {
            return Err(nearest);
        }
        Ok(std::mem::replace(&mut self.max_readahead, value))
    }

    /// Set how many filesystems may be stacked: 1 lets files of this mount pass through to files
    /// of an ordinary filesystem, 2 also to files of a stacked one such as overlayfs. 0, which
    /// forbids passthrough, if not set.
    ///
    /// The kernel takes it for the depth of this mount too, so that with 2 nothing can be stacked
    /// on it. It looks at it only beside the capability `FUSE_PASSTHROUGH`.
    ///
    /// Returns the previous value.
    ///
    /// # Errors
    ///
    /// If it is beyond 2, the kernel's limit: the nearest value that can be set.
    pub fn set_max_stack_depth(&mut self, value: u32) -> Result<u32, u32> {
        if value > MAX_STACK_DEPTH {
            return Err(MAX_STACK_DEPTH);
        }
        Ok(std::mem::replace(&mut self.max_stack_depth, value))
    }

    /// Set the granularity of the filesystem's timestamps: a power of ten in nanoseconds, at most
    /// one second. 1 ns if not set.
    ///
    /// The kernel cuts the times it sets itself down to it.
    ///
    /// Returns the previous value.
    ///
    /// # Errors
    ///
    /// If it is no such power: the nearest value that can be set.
    pub fn set_time_granularity(&mut self, value: Duration) -> Result<Duration, Duration> {
        let nearest = (0..=9)
            .map(|exponent| Duration::from_nanos(10u64.pow(exponent)))
            .min_by_key(|power| power.abs_diff(value))
            .unwrap_or(Duration::from_nanos(1));
        if nearest != value {
            return Err(nearest);
        }
        Ok(std::mem::replace(&mut self.time_granularity, value))
    }

    /// Set after how long without an answer the kernel gives up; zero, the value if not set, is
    /// never. It asks for the capability `FUSE_REQUEST_TIMEOUT`, which cannot be added otherwise.
    ///
    /// If any request waits longer, the kernel **aborts the whole mount**. It looks only every few
    /// seconds, so that a short time may take some seconds more. The administrator's
    /// `fs.fuse.max_request_timeout` is an upper limit.
    ///
    /// Returns the previous value.
    ///
    /// # Errors
    ///
    /// If it is not a whole number of seconds up to 65535: the nearest value that can be set.
    /// If the kernel does not offer it (Linux does since 6.15): zero.
    pub fn set_request_timeout(&mut self, value: Duration) -> Result<Duration, Duration> {
        let nearest = if self.offered.contains(InitFlags::FUSE_REQUEST_TIMEOUT) {
            let half = u64::from(value.subsec_millis() >= 500);
            let seconds = value.as_secs().saturating_add(half);
            u16::try_from(seconds).unwrap_or(u16::MAX).max(u16::from(!value.is_zero()))
        } else {
            0
        };
        if Duration::from_secs(nearest.into()) != value {
            return Err(Duration::from_secs(nearest.into()));
        }
        self.requested.set(InitFlags::FUSE_REQUEST_TIMEOUT, nearest != 0);
        let previous = std::mem::replace(&mut self.request_timeout, nearest);
        Ok(Duration::from_secs(previous.into()))
    }

    /// The capabilities the kernel offers. Bits this library has no name for are kept.
    pub fn capabilities(&self) -> InitFlags {
        self.offered - init_ext()
    }

    /// The version of the FUSE protocol the kernel speaks. If it is newer than this library's, the
    /// mount speaks the library's.
    pub fn kernel_abi(&self) -> Version {
        self.version
    }

    /// The capabilities asked for so far, the default ones included.
    pub fn requested(&self) -> InitFlags {
        self.requested - init_ext()
    }

    /// Why [`add_capabilities`](Self::add_capabilities) refuses some of these capabilities, in
    /// words. `None` if it refuses none of them.
    pub fn refusal(&self, capabilities: InitFlags) -> Option<String> {
        let reasons: Vec<_> = bits(capabilities)
            .filter_map(|bit| Some((bit, self.why_refused(bit)?)))
            .map(|(bit, reason)| match bit.iter_names().last() {
                Some((name, _)) => format!("{name}: {reason}"),
                None => format!("{:#x}: {reason}", bit.bits()),
            })
            .collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    fn why_refused(&self, bit: InitFlags) -> Option<&'static str> {
        if self.requested.contains(bit) {
            return None;
        }
        if !self.offered.contains(bit) {
            return Some("the kernel does not offer it");
        }
        if !InitFlags::all().contains(bit) {
            return Some("it is newer than this library");
        }
        if bit == InitFlags::FUSE_REQUEST_TIMEOUT {
            return Some("it needs a time; call set_request_timeout");
        }
        if bit == InitFlags::FUSE_ALLOW_IDMAP {
            let Surroundings { default_permissions, acl_all, .. } = self.surroundings;
            return (!default_permissions || !acl_all).then_some(
                "the kernel then withholds its callers' ids, so the mount must have the options \
                 DefaultPermissions and SessionACL::All (allow_other)",
            );
        }
        let (_, reason) = UNSUPPORTED.iter().find(|(unsupported, _)| unsupported.contains(bit))?;
        Some(reason)
    }

    fn congestion_threshold(&self) -> u16 {
        let three_quarters = (u32::from(self.max_background) * 3 / 4) as u16;
        self.congestion_threshold.unwrap_or(three_quarters.max(1)).min(self.max_background)
    }

    /// The answer to INIT, once the filesystem has had its say.
    pub(crate) fn finish(&self) -> Negotiated {
        let minor = self.version.1.min(FUSE_KERNEL_MINOR_VERSION);
        let flags = self.answered_capabilities(minor);

        let page = self.surroundings.page_size.max(MIN_WRITE);
        let most_pages = if flags.contains(InitFlags::FUSE_MAX_PAGES) {
            self.surroundings.max_pages.clamp(1, u16::MAX.into())
        } else {
            DEFAULT_MAX_PAGES
        };
        // Linux alone says its limit. The others cut a write that is longer than they like.
        let max_write = if cfg!(any(target_os = "linux", target_os = "android")) {
            self.max_write.min(page.saturating_mul(most_pages))
        } else {
            self.max_write
        };
        let pages = max(max_write, self.max_readahead).div_ceil(page).clamp(1, most_pages);

        let only_with = |flag, value| if flags.contains(flag) { value } else { 0 };
        let out = fuse_init_out {
            major: FUSE_KERNEL_VERSION,
            minor,
            max_readahead: self.max_readahead,
            flags: flags.bits() as u32,
            max_background: self.max_background,
            congestion_threshold: self.congestion_threshold(),
            max_write,
            time_gran: u32::try_from(self.time_granularity.as_nanos()).unwrap_or(1),
            max_pages: only_with(InitFlags::FUSE_MAX_PAGES, pages) as u16,
            map_alignment: 0,
            flags2: (flags.bits() >> 32) as u32,
            max_stack_depth: only_with(InitFlags::FUSE_PASSTHROUGH, self.max_stack_depth),
            request_timeout: only_with(InitFlags::FUSE_REQUEST_TIMEOUT, self.request_timeout.into())
                as u16,
            unused: [0; 11],
        };
        let len = if has_long_answer(minor) {
            size_of::<fuse_init_out>()
        } else {
            FUSE_COMPAT_22_INIT_OUT_SIZE
        };
        Negotiated { out, len, max_write, flags, minor }
    }

    fn answered_capabilities(&self, minor: u32) -> InitFlags {
        let mut flags = (self.requested | init_ext()) & self.offered;
        if !has_long_answer(minor) {
            // The answer has no room for what belongs to them.
            let short = InitFlags::from_bits_retain(u32::MAX.into());
            flags &= short - (InitFlags::FUSE_MAX_PAGES | init_ext());
        }
        if flags.contains(InitFlags::FUSE_PASSTHROUGH) {
            if self.max_stack_depth == 0 {
                log::warn!(
                    "FUSE_PASSTHROUGH is not asked for: call set_max_stack_depth with 1 or 2"
                );
                flags -= InitFlags::FUSE_PASSTHROUGH;
            } else if flags.contains(InitFlags::FUSE_WRITEBACK_CACHE) {
                log::warn!(
                    "FUSE_PASSTHROUGH is not asked for: the kernel switches it off beside \
                     FUSE_WRITEBACK_CACHE"
                );
                flags -= InitFlags::FUSE_PASSTHROUGH;
            }
        }
        flags
    }
}

/// What the kernel's INIT says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InitRequest {
    pub(crate) version: Version,
    pub(crate) max_readahead: u32,
    pub(crate) flags: InitFlags,
}

impl InitRequest {
    /// What follows the request's header: 64 bytes since 7.36, 16 before. Of a version that is not
    /// spoken here, only the version itself is looked at.
    pub(crate) fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut init = fuse_init_in::default();
        let len = body.len().min(size_of::<fuse_init_in>());
        init.as_mut_bytes()[..len].copy_from_slice(&body[..len]);

        if len < 8 {
            return Err(DecodeError::Short);
        }
        let version = Version(init.major, init.minor);
        if !is_spoken(version) {
            return Ok(Self { version, max_readahead: 0, flags: InitFlags::empty() });
        }
        if len < 16 {
            return Err(DecodeError::Short);
        }
        let mut flags = InitFlags::from_bits_retain(init.flags.into());
        if flags.intersects(init_ext()) {
            if len < 20 {
                return Err(DecodeError::Short);
            }
            flags |= InitFlags::from_bits_retain(u64::from(init.flags2) << 32);
        }
        Ok(Self { version, max_readahead: init.max_readahead, flags })
    }
}

/// What the negotiation depends on beside the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings {
    pub(crate) page_size: u32,
    /// The sysctl `fs.fuse.max_pages_limit`; 256 where there is none.
    pub(crate) max_pages: u32,
    /// The kernel checks permissions itself.
    pub(crate) default_permissions: bool,
    /// Every user may use the mount.
    pub(crate) acl_all: bool,
}

/// What to do about an INIT.
#[derive(Debug)]
pub(crate) enum Negotiation {
    /// The kernel's major version is newer. Answered with this, our version, it sends INIT again.
    OtherMajor([u8; FUSE_COMPAT_INIT_OUT_SIZE]),
    /// The kernel is older than 7.19. There is no way to speak with it.
    TooOld,
    /// The filesystem is asked, then [`KernelConfig::finish`] has the answer.
    Begin(KernelConfig),
}

/// What an INIT leads to.
pub(crate) fn negotiate(request: &InitRequest, surroundings: &Surroundings) -> Negotiation {
    let Version(major, _) = request.version;
    if major > FUSE_KERNEL_VERSION {
        let mut ours = [0; FUSE_COMPAT_INIT_OUT_SIZE];
        ours[..4].copy_from_slice(&FUSE_KERNEL_VERSION.to_ne_bytes());
        ours[4..].copy_from_slice(&FUSE_KERNEL_MINOR_VERSION.to_ne_bytes());
        return Negotiation::OtherMajor(ours);
    }
    if !is_spoken(request.version) {
        return Negotiation::TooOld;
    }
    Negotiation::Begin(KernelConfig::new(request, surroundings))
}

/// What the kernel and the filesystem settled on.
#[derive(Clone, Debug)]
pub(crate) struct Negotiated {
    pub(crate) out: fuse_init_out,
    pub(crate) len: usize,
    /// The kernel's requests are not longer than this and their arguments.
    pub(crate) max_write: u32,
    pub(crate) flags: InitFlags,
    /// The protocol both sides speak is 7.`minor`.
    pub(crate) minor: u32,
}

impl Negotiated {
    /// The answer's bytes.
    pub(crate) fn body(&self) -> &[u8] {
        let bytes = self.out.as_bytes();
        bytes.get(..self.len).unwrap_or(bytes)
    }
}

fn is_spoken(Version(major, minor): Version) -> bool {
    major == FUSE_KERNEL_VERSION && minor >= OLDEST_MINOR
}

/// Whether the answer has the fields behind `max_write`.
fn has_long_answer(minor: u32) -> bool {
    minor >= 23
}

/// What is asked for without being told, where it is offered.
fn default_capabilities() -> InitFlags {
    #[cfg(not(target_os = "macos"))]
    let flags = InitFlags::FUSE_ASYNC_READ | InitFlags::FUSE_BIG_WRITES | InitFlags::FUSE_MAX_PAGES;
    #[cfg(target_os = "macos")]
    let flags = InitFlags::FUSE_ASYNC_READ
        | InitFlags::FUSE_MAX_PAGES
        | InitFlags::FUSE_CASE_INSENSITIVE
        | InitFlags::FUSE_VOL_RENAME
        | InitFlags::FUSE_XTIMES;
    flags
}

/// The bit that says there are more than 32. macFUSE gives it another meaning.
fn init_ext() -> InitFlags {
    if cfg!(target_os = "macos") { InitFlags::empty() } else { InitFlags::FUSE_INIT_EXT }
}

/// Each bit that is set.
fn bits(flags: InitFlags) -> impl Iterator<Item = InitFlags> {
    (0..u64::BITS)
        .map(|bit| InitFlags::from_bits_retain(1 << bit))
        .filter(move |&bit| flags.contains(bit))
}

/// What cannot be honoured here even if the kernel offers it, and why.
const UNSUPPORTED: &[(InitFlags, &str)] = &[
    (InitFlags::FUSE_FILE_OPS, "no kernel implements it"),
    (
        InitFlags::FUSE_SECURITY_CTX,
        "this library does not hand security contexts to the filesystem, so files would lose them",
    ),
    (
        InitFlags::FUSE_CREATE_SUPP_GROUP,
        "this library does not hand supplementary groups to the filesystem",
    ),
    (InitFlags::FUSE_HAS_INODE_DAX, "direct access to memory needs virtiofs"),
    (InitFlags::FUSE_OVER_IO_URING, "this library answers over /dev/fuse"),
    (InitFlags::FUSE_MAP_ALIGNMENT, "direct access to memory needs virtiofs"),
    #[cfg(not(target_os = "macos"))]
    (InitFlags::FUSE_SUBMOUNTS, "this library does not announce submounts"),
    #[cfg(not(target_os = "macos"))]
    (InitFlags::FUSE_INIT_RESERVED, "the protocol reserves it"),
];

/// The oldest protocol that is spoken: 7.19, of Linux 3.5.
const OLDEST_MINOR: u32 = 19;
/// The kernel never has a smaller one.
const MIN_WRITE: u32 = 4096;
const MAX_WRITE: u32 = 16 << 20;
/// The pages of a request if `FUSE_MAX_PAGES` does not say otherwise.
const DEFAULT_MAX_PAGES: u32 = 32;
/// The kernel's `FILESYSTEM_MAX_STACK_DEPTH`.
const MAX_STACK_DEPTH: u32 = 2;

#[cfg(all(test, not(target_os = "macos")))]
mod tests {
    use super::*;
    use crate::abi;

    /// What Linux 6.18 sent, without io_uring switched on.
    const LINUX_6_18: [u32; 6] = [7, 45, 0x2_0000, 0x73ff_fffb, 0x5fd, 0];

    const PLAIN: Surroundings = Surroundings {
        page_size: 4096,
        max_pages: 256,
        default_permissions: false,
        acl_all: false,
    };

    /// Which minor version brought which flags.
    const SINCE: &[(u32, u64)] = &[
        (
            19,
            abi::FUSE_ASYNC_READ
                | abi::FUSE_POSIX_LOCKS
                | abi::FUSE_ATOMIC_O_TRUNC
                | abi::FUSE_EXPORT_SUPPORT
                | abi::FUSE_BIG_WRITES
                | abi::FUSE_DONT_MASK
                | abi::FUSE_SPLICE_WRITE
                | abi::FUSE_SPLICE_MOVE
                | abi::FUSE_SPLICE_READ
                | abi::FUSE_FLOCK_LOCKS
                | abi::FUSE_HAS_IOCTL_DIR,
        ),
        (20, abi::FUSE_AUTO_INVAL_DATA),
        (21, abi::FUSE_DO_READDIRPLUS | abi::FUSE_READDIRPLUS_AUTO),
        (22, abi::FUSE_ASYNC_DIO),
        (23, abi::FUSE_WRITEBACK_CACHE | abi::FUSE_NO_OPEN_SUPPORT),
        (25, abi::FUSE_PARALLEL_DIROPS),
        (26, abi::FUSE_HANDLE_KILLPRIV | abi::FUSE_POSIX_ACL),
        (27, abi::FUSE_ABORT_ERROR),
        (28, abi::FUSE_MAX_PAGES | abi::FUSE_CACHE_SYMLINKS),
        (29, abi::FUSE_NO_OPENDIR_SUPPORT),
        (30, abi::FUSE_EXPLICIT_INVAL_DATA),
        (33, abi::FUSE_HANDLE_KILLPRIV_V2 | abi::FUSE_SETXATTR_EXT),
        (36, abi::FUSE_INIT_EXT | abi::FUSE_SECURITY_CTX),
        (38, abi::FUSE_HAS_EXPIRE_ONLY | abi::FUSE_CREATE_SUPP_GROUP),
        (39, abi::FUSE_DIRECT_IO_ALLOW_MMAP),
        (40, abi::FUSE_PASSTHROUGH | abi::FUSE_NO_EXPORT_SUPPORT | abi::FUSE_HAS_RESEND),
        (41, abi::FUSE_ALLOW_IDMAP),
        (42, abi::FUSE_OVER_IO_URING),
        (43, abi::FUSE_REQUEST_TIMEOUT),
    ];

    /// INIT as a kernel of this minor version sends it.
    fn init(minor: u32) -> Vec<u8> {
        let flags = SINCE
            .iter()
            .filter(|&&(since, _)| since <= minor)
            .fold(0, |flags, &(_, more)| flags | more);
        let len = if minor < 36 { 16 } else { 64 };
        bytes(&[7, minor, 0x2_0000, flags as u32, (flags >> 32) as u32], len)
    }

    fn bytes(words: &[u32], len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.resize(len, 0);
        bytes
    }

    fn begin(body: &[u8], surroundings: &Surroundings) -> KernelConfig {
        match negotiate(&InitRequest::decode(body).unwrap(), surroundings) {
            Negotiation::Begin(config) => config,
            other => panic!("{other:?}"),
        }
    }

    fn newest() -> KernelConfig {
        begin(&init(45), &PLAIN)
    }

    fn offering(flags: u64) -> KernelConfig {
        let flags = flags | abi::FUSE_INIT_EXT;
        begin(&bytes(&[7, 45, 0x2_0000, flags as u32, (flags >> 32) as u32], 64), &PLAIN)
    }

    fn u32_at(bytes: &[u8], offset: usize) -> u32 {
        u32::from_ne_bytes(bytes[offset..offset + 4].try_into().unwrap())
    }

    fn u16_at(bytes: &[u8], offset: usize) -> u16 {
        u16::from_ne_bytes(bytes[offset..offset + 2].try_into().unwrap())
    }

    #[test]
    fn every_minor_version_gets_its_own_answer() {
        for minor in 19..=50 {
            let config = begin(&init(minor), &PLAIN);
            assert_eq!(config.kernel_abi(), Version(7, minor));
            let negotiated = config.finish();
            let body = negotiated.body();
            assert_eq!(body.len(), if minor < 23 { 24 } else { 64 }, "7.{minor}");
            assert_eq!(u32_at(body, 0), 7);
            assert_eq!(u32_at(body, 4), minor.min(45), "7.{minor}");
            assert_eq!(negotiated.minor, minor.min(45));
            assert_eq!(u32_at(body, 8), 0x2_0000, "max_readahead");
            assert_eq!(u16_at(body, 16), 16, "max_background");
            assert_eq!(u16_at(body, 18), 12, "congestion_threshold");

            let (mut flags, max_write) = match minor {
                ..28 => (abi::FUSE_ASYNC_READ | abi::FUSE_BIG_WRITES, 128 << 10),
                28.. => {
                    (abi::FUSE_ASYNC_READ | abi::FUSE_BIG_WRITES | abi::FUSE_MAX_PAGES, 1 << 20)
                }
            };
            if minor >= 36 {
                flags |= abi::FUSE_INIT_EXT;
            }
            assert_eq!(u32_at(body, 12), flags as u32, "7.{minor}: flags");
            assert_eq!(u32_at(body, 20), max_write, "7.{minor}: max_write");
            assert_eq!((negotiated.flags.bits(), negotiated.max_write), (flags, max_write));

            if minor >= 23 {
                assert_eq!(u32_at(body, 24), 1, "time_gran");
                assert_eq!(u16_at(body, 28), if minor < 28 { 0 } else { 256 }, "max_pages");
                assert_eq!(&body[30..], [0; 34], "7.{minor}: nothing behind max_pages");
            }
        }
    }

    #[test]
    fn the_answer_to_linux_6_18_has_these_bytes() {
        let mut config = begin(&bytes(&LINUX_6_18, 64), &PLAIN);
        config
            .add_capabilities(
                InitFlags::FUSE_PASSTHROUGH
                    | InitFlags::FUSE_HAS_EXPIRE_ONLY
                    | InitFlags::FUSE_PARALLEL_DIROPS,
            )
            .unwrap();
        config.set_max_stack_depth(2).unwrap();
        config.set_request_timeout(Duration::from_secs(0x1234)).unwrap();
        config.set_time_granularity(Duration::from_micros(1)).unwrap();
        config.set_max_background(0x40).unwrap();
        config.set_max_readahead(0x1_0000).unwrap();
        config.set_max_write(0x8000).unwrap();
        let expected = [
            &7u32.to_ne_bytes()[..],
            &45u32.to_ne_bytes(),
            &0x1_0000u32.to_ne_bytes(),
            &0x4044_0021u32.to_ne_bytes(),
            &0x40u16.to_ne_bytes(),
            &0x30u16.to_ne_bytes(),
            &0x8000u32.to_ne_bytes(),
            &1000u32.to_ne_bytes(),
            &16u16.to_ne_bytes(),
            &0u16.to_ne_bytes(),
            &0x428u32.to_ne_bytes(),
            &2u32.to_ne_bytes(),
            &0x1234u16.to_ne_bytes(),
            &[0; 22],
        ]
        .concat();
        assert_eq!(config.finish().body(), expected);
    }

    #[test]
    fn the_request_of_linux_6_18_is_read_whole() {
        let request = InitRequest::decode(&bytes(&LINUX_6_18, 64)).unwrap();
        assert_eq!(request.version, Version(7, 45));
        assert_eq!(request.max_readahead, 128 << 10);
        assert_eq!(request.flags.bits(), 0x5fd_73ff_fffb);
        let config = begin(&bytes(&LINUX_6_18, 64), &PLAIN);
        assert_eq!(config.capabilities().bits(), 0x5fd_33ff_fffb, "without FUSE_INIT_EXT");
        assert!(config.capabilities().contains(InitFlags::FUSE_PASSTHROUGH));
        assert!(!config.capabilities().contains(InitFlags::FUSE_OVER_IO_URING));
    }

    #[test]
    fn the_upper_flags_count_only_with_init_ext() {
        let request = InitRequest::decode(&bytes(&[7, 45, 0, 1, 0xffff_ffff], 64)).unwrap();
        assert_eq!(request.flags.bits(), 1);
        let request = InitRequest::decode(&bytes(&[7, 45, 0, 1 << 30, 0xffff_ffff], 64)).unwrap();
        assert_eq!(request.flags.bits(), 0xffff_ffff_4000_0000);
        let negotiated = begin(&bytes(&[7, 45, 0, 1, 0xffff_ffff], 64), &PLAIN).finish();
        assert_eq!(negotiated.flags, InitFlags::FUSE_ASYNC_READ, "INIT_EXT was not offered");
    }

    #[test]
    fn a_short_request_is_an_error() {
        let whole = init(45);
        for len in 0..20 {
            assert_eq!(InitRequest::decode(&whole[..len]), Err(DecodeError::Short), "{len} bytes");
        }
        assert!(InitRequest::decode(&whole[..20]).is_ok());
        let old = init(31);
        assert_eq!(InitRequest::decode(&old[..15]), Err(DecodeError::Short));
        assert!(InitRequest::decode(&old[..16]).is_ok());
    }

    #[test]
    fn a_longer_request_of_a_later_version_is_read_as_far_as_it_is_known() {
        let mut body = init(45);
        body.resize(200, 0xff);
        assert_eq!(InitRequest::decode(&body), InitRequest::decode(&init(45)));
    }

    #[test]
    fn a_newer_major_version_is_told_ours() {
        for len in [8, 16, 64, 100] {
            let request = InitRequest::decode(&bytes(&[8, 3], len)).unwrap();
            let Negotiation::OtherMajor(ours) = negotiate(&request, &PLAIN) else {
                panic!("{request:?}");
            };
            assert_eq!(ours, *bytes(&[7, 45], 8));
        }
    }

    #[test]
    fn versions_before_7_19_are_too_old() {
        for (major, minor) in [(0, 0), (6, 99), (7, 0), (7, 6), (7, 18)] {
            let request = InitRequest::decode(&bytes(&[major, minor], 8)).unwrap();
            let negotiation = negotiate(&request, &PLAIN);
            assert!(matches!(negotiation, Negotiation::TooOld), "{major}.{minor}");
        }
    }

    #[test]
    fn capabilities_are_accepted_or_refused_one_by_one() {
        // Everything on offer, a bit without a name included.
        let unknown = 1 << 63;
        let refused = [
            abi::FUSE_FILE_OPS,
            abi::FUSE_MAP_ALIGNMENT,
            abi::FUSE_SUBMOUNTS,
            abi::FUSE_INIT_RESERVED,
            abi::FUSE_SECURITY_CTX,
            abi::FUSE_HAS_INODE_DAX,
            abi::FUSE_CREATE_SUPP_GROUP,
            abi::FUSE_ALLOW_IDMAP,
            abi::FUSE_OVER_IO_URING,
            abi::FUSE_REQUEST_TIMEOUT,
            unknown,
        ];
        let all = InitFlags::all().bits() | unknown;
        for bit in bits(InitFlags::from_bits_retain(all)) {
            let mut config = offering(all);
            let before = config.requested();
            if refused.contains(&bit.bits()) {
                assert_eq!(config.add_capabilities(bit), Err(bit), "{bit:?}");
                assert_eq!(config.requested(), before);
                assert!(config.refusal(bit).is_some());
            } else {
                assert_eq!(config.refusal(bit), None, "{bit:?}");
                assert_eq!(config.add_capabilities(bit), Ok(()), "{bit:?}");
                assert!(bit == InitFlags::FUSE_INIT_EXT || config.requested().contains(bit));
            }
            let mut config = offering(0);
            let expected = if bit == InitFlags::FUSE_INIT_EXT { Ok(()) } else { Err(bit) };
            assert_eq!(config.add_capabilities(bit), expected, "{bit:?} not offered");
        }
    }

    #[test]
    fn one_refused_capability_refuses_the_others_with_it() {
        let mut config = newest();
        let before = config.requested();
        let refused = InitFlags::FUSE_OVER_IO_URING | InitFlags::FUSE_SECURITY_CTX;
        let result = config.add_capabilities(refused | InitFlags::FUSE_ASYNC_DIO);
        assert_eq!(result, Err(refused));
        assert_eq!(config.requested(), before);
        config.add_capabilities(InitFlags::FUSE_ASYNC_DIO).unwrap();
        assert_eq!(config.requested(), before | InitFlags::FUSE_ASYNC_DIO);
        assert!(config.finish().flags.contains(InitFlags::FUSE_ASYNC_DIO));
    }

    #[test]
    fn a_refusal_names_each_capability_and_its_reason() {
        let config = offering(abi::FUSE_SECURITY_CTX | 1 << 50);
        let asked = InitFlags::FUSE_SECURITY_CTX
            | InitFlags::FUSE_POSIX_ACL
            | InitFlags::from_bits_retain(1 << 50);
        assert_eq!(
            config.refusal(asked).unwrap(),
            "FUSE_POSIX_ACL: the kernel does not offer it; \
             FUSE_SECURITY_CTX: this library does not hand security contexts to the filesystem, \
             so files would lose them; \
             0x4000000000000: it is newer than this library"
        );
    }

    #[test]
    fn idmapped_mounts_need_the_kernels_own_permission_checks() {
        for (default_permissions, acl_all) in
            [(false, false), (true, false), (false, true), (true, true)]
        {
            let surroundings = Surroundings { default_permissions, acl_all, ..PLAIN };
            let mut config = begin(&init(45), &surroundings);
            let result = config.add_capabilities(InitFlags::FUSE_ALLOW_IDMAP);
            assert_eq!(result.is_ok(), default_permissions && acl_all);
        }
    }

    #[test]
    fn passthrough_needs_a_stack_depth_and_no_writeback_cache() {
        let passthrough = InitFlags::FUSE_PASSTHROUGH;
        let mut config = newest();
        config.set_max_stack_depth(1).unwrap();
        assert_eq!(config.finish().out.max_stack_depth, 0, "the capability was not added");
        config.add_capabilities(passthrough).unwrap();
        let negotiated = config.finish();
        assert!(negotiated.flags.contains(passthrough));
        assert_eq!(negotiated.out.max_stack_depth, 1);

        config.set_max_stack_depth(0).unwrap();
        assert!(!config.finish().flags.contains(passthrough));

        config.set_max_stack_depth(2).unwrap();
        config.add_capabilities(InitFlags::FUSE_WRITEBACK_CACHE).unwrap();
        let negotiated = config.finish();
        assert!(!negotiated.flags.contains(passthrough));
        assert!(negotiated.flags.contains(InitFlags::FUSE_WRITEBACK_CACHE));
        assert_eq!(negotiated.out.max_stack_depth, 0);
        assert_eq!(negotiated.out.flags2 & (passthrough.bits() >> 32) as u32, 0);
    }

    #[test]
    fn requests_time_out_after_whole_seconds() {
        let second = Duration::from_secs(1);
        let mut config = newest();
        assert_eq!(config.set_request_timeout(Duration::from_millis(1)), Err(second));
        assert_eq!(config.set_request_timeout(Duration::from_millis(1499)), Err(second));
        assert_eq!(config.set_request_timeout(Duration::from_millis(1500)), Err(2 * second));
        assert_eq!(config.set_request_timeout(65536 * second), Err(65535 * second));
        assert_eq!(config.set_request_timeout(Duration::MAX), Err(65535 * second));
        assert!(!config.finish().flags.contains(InitFlags::FUSE_REQUEST_TIMEOUT));

        assert_eq!(config.set_request_timeout(65535 * second), Ok(Duration::ZERO));
        assert_eq!(config.finish().out.request_timeout, 65535);
        assert!(config.finish().flags.contains(InitFlags::FUSE_REQUEST_TIMEOUT));
        assert_eq!(config.add_capabilities(InitFlags::FUSE_REQUEST_TIMEOUT), Ok(()));

        assert_eq!(config.set_request_timeout(Duration::ZERO), Ok(65535 * second));
        assert!(!config.finish().flags.contains(InitFlags::FUSE_REQUEST_TIMEOUT));
        assert_eq!(config.finish().out.request_timeout, 0);

        let mut config = begin(&init(42), &PLAIN);
        assert_eq!(config.set_request_timeout(second), Err(Duration::ZERO));
        assert_eq!(config.set_request_timeout(Duration::ZERO), Ok(Duration::ZERO));
    }

    #[test]
    fn limits_return_the_previous_value_or_the_nearest_that_can_be_set() {
        let mut config = newest();
        assert_eq!(config.set_max_background(0), Err(1));
        assert_eq!(config.set_max_background(u16::MAX), Ok(16));
        assert_eq!(config.set_max_background(8), Ok(u16::MAX));
        assert_eq!(config.set_congestion_threshold(0), Err(1));
        assert_eq!(config.set_congestion_threshold(100), Ok(6));
        assert_eq!(config.set_congestion_threshold(5), Ok(8), "never beyond max_background");
        assert_eq!(config.set_congestion_threshold(4), Ok(5));

        assert_eq!(config.set_max_write(0), Err(4096));
        assert_eq!(config.set_max_write(4095), Err(4096));
        assert_eq!(config.set_max_write((16 << 20) + 1), Err(16 << 20));
        assert_eq!(config.set_max_write(u32::MAX), Err(16 << 20));
        assert_eq!(config.set_max_write(4096), Ok(16 << 20));
        assert_eq!(config.set_max_write(16 << 20), Ok(4096));

        assert_eq!(config.set_max_readahead(0), Err(1));
        assert_eq!(config.set_max_readahead(0x2_0001), Err(0x2_0000));
        assert_eq!(config.set_max_readahead(1), Ok(0x2_0000));
        assert_eq!(config.set_max_readahead(0x2_0000), Ok(1));

        assert_eq!(config.set_max_stack_depth(3), Err(2));
        assert_eq!(config.set_max_stack_depth(2), Ok(0));
        assert_eq!(config.set_max_stack_depth(0), Ok(2));
    }

    #[test]
    fn what_is_the_nearest_can_be_set() {
        let mut config = begin(&bytes(&[7, 45, 0, 0], 64), &PLAIN);
        assert_eq!(config.set_max_readahead(1), Err(0), "the kernel offers none");
        assert_eq!(config.set_max_readahead(0), Ok(0));
        assert_eq!(config.set_max_background(1), Ok(16));
        let negotiated = config.finish();
        assert_eq!((negotiated.out.max_background, negotiated.out.congestion_threshold), (1, 1));
    }

    #[test]
    fn the_granularity_of_times_is_a_power_of_ten() {
        let mut config = newest();
        let nanos = Duration::from_nanos;
        assert_eq!(config.set_time_granularity(Duration::ZERO), Err(nanos(1)));
        assert_eq!(config.set_time_granularity(nanos(2)), Err(nanos(1)));
        assert_eq!(config.set_time_granularity(nanos(9)), Err(nanos(10)));
        assert_eq!(config.set_time_granularity(nanos(1_000_000_001)), Err(nanos(1_000_000_000)));
        assert_eq!(config.set_time_granularity(Duration::MAX), Err(nanos(1_000_000_000)));
        let mut previous = nanos(1);
        for exponent in 0..=9 {
            let power = nanos(10u64.pow(exponent));
            assert_eq!(config.set_time_granularity(power), Ok(previous));
            assert_eq!(config.finish().out.time_gran, 10u32.pow(exponent));
            previous = power;
        }
    }

    #[test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn a_write_is_no_longer_than_the_kernels_pages() {
        let with = |page_size, max_pages, minor| {
            let surroundings = Surroundings { page_size, max_pages, ..PLAIN };
            let negotiated = begin(&init(minor), &surroundings).finish();
            (negotiated.max_write, negotiated.out.max_pages)
        };
        assert_eq!(with(4096, 256, 45), (1 << 20, 256));
        assert_eq!(with(4096, 1024, 45), (4 << 20, 1024));
        assert_eq!(with(4096, 65535, 45), (16 << 20, 4096));
        assert_eq!(with(4096, u32::MAX, 45), (16 << 20, 4096));
        assert_eq!(with(4096, 1, 45), (4096, 1));
        assert_eq!(with(4096, 0, 45), (4096, 1));
        assert_eq!(with(65536, 256, 45), (16 << 20, 256));
        assert_eq!(with(4096, 256, 27), (128 << 10, 0));
        assert_eq!(with(65536, 256, 27), (2 << 20, 0));
        assert_eq!(with(0, 256, 45), (1 << 20, 256), "no page is smaller than 4096");
        assert_eq!(with(u32::MAX, u32::MAX, 45), (16 << 20, 1));
    }

    #[test]
    fn a_request_has_the_pages_for_a_readahead_longer_than_a_write() {
        let mut config = newest();
        config.set_max_write(4097).unwrap();
        assert_eq!(config.finish().out.max_pages, 32, "128 KiB of readahead");
        config.set_max_readahead(1).unwrap();
        assert_eq!(config.finish().out.max_pages, 2);
    }

    #[test]
    fn random_requests_never_panic() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut begun = 0;
        for _ in 0..20_000 {
            let mut body: Vec<u8> = (0..random() % 80).map(|_| random() as u8).collect();
            if let (true, Some(version)) = (random() % 4 != 0, body.get_mut(..8)) {
                version.copy_from_slice(&bytes(&[7, (random() % 64) as u32], 8));
            }
            let surroundings = Surroundings {
                page_size: random() as u32,
                max_pages: random() as u32,
                default_permissions: random() % 2 == 0,
                acl_all: random() % 2 == 0,
            };
            let Ok(request) = InitRequest::decode(&body) else { continue };
            let Negotiation::Begin(mut config) = negotiate(&request, &surroundings) else {
                continue;
            };
            begun += 1;
            let asked = InitFlags::from_bits_retain(random() & random());
            if let Err(refused) = config.add_capabilities(asked) {
                assert!(asked.contains(refused));
                config.add_capabilities(asked - refused).unwrap();
            }
            _ = config.set_max_write(random() as u32);
            _ = config.set_max_readahead(random() as u32);
            _ = config.set_max_background(random() as u16);
            _ = config.set_congestion_threshold(random() as u16);
            _ = config.set_max_stack_depth((random() % 4) as u32);
            _ = config.set_request_timeout(Duration::from_secs(random() % 70_000));
            _ = config.set_time_granularity(Duration::from_nanos(random()));
            let negotiated = config.finish();
            assert!(request.flags.contains(negotiated.flags));
            assert!(negotiated.max_write >= 4096);
            assert!(matches!(negotiated.body().len(), 24 | 64));
        }
        assert!(begun > 5_000, "only {begun} requests were negotiated");
    }
}
