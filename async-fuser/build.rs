//! Chooses the library that mounts. Without a libfuse feature there is none to look for, except
//! on macOS, where only macFUSE's libfuse can mount.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(mount_with, values(\"libfuse2\", \"libfuse3\"))");

    let target = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if target == "macos" {
        if !cfg!(feature = "macos-no-mount") {
            link_macfuse();
        }
    } else if target == "linux" {
        #[cfg(feature = "libfuse")]
        link_libfuse();
    }
}

fn link_macfuse() {
    #[cfg(feature = "libfuse")]
    if let Err(error) = probe("fuse", "2.6.0") {
        panic!("cannot find macFUSE (https://macfuse.io): {error}");
    }
    #[cfg(not(feature = "libfuse"))]
    {
        println!("cargo::rustc-link-search=native=/usr/local/lib");
        println!("cargo::rustc-link-lib=dylib=fuse");
    }
    println!("cargo::rustc-cfg=mount_with=\"libfuse2\"");
    // Every macFUSE that current systems load speaks the protocol of version 4.
    println!("cargo::rustc-cfg=feature=\"macfuse-4-compat\"");
}

/// Links the version that was asked for, or else the newest there is.
#[cfg(feature = "libfuse")]
fn link_libfuse() {
    let three = || probe("fuse3", "3.0.0").map(|()| "libfuse3");
    let two = || probe("fuse", "2.6.0").map(|()| "libfuse2");
    let found = if cfg!(feature = "libfuse3") {
        three()
    } else if cfg!(feature = "libfuse2") {
        two()
    } else {
        three().or_else(|missing| two().map_err(|also| format!("{missing}\n{also}")))
    };
    match found {
        Ok(version) => println!("cargo::rustc-cfg=mount_with=\"{version}\""),
        Err(error) => panic!(
            "a libfuse feature is on, but its library was not found (Debian and Ubuntu: install \
             libfuse3-dev or libfuse-dev; without the feature none is needed): {error}"
        ),
    }
}

#[cfg(feature = "libfuse")]
fn probe(name: &str, version: &str) -> Result<(), String> {
    let found = pkg_config::Config::new().atleast_version(version).probe(name);
    found.map(drop).map_err(|error| error.to_string())
}
