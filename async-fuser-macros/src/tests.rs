//! Blocks in, code out, as tokens.

use proc_macro2::TokenStream;
use quote::quote;

use crate::expand::expand;
use crate::operations::Operation;

/// Without spaces, which tokens do not have.
fn plain(tokens: impl ToString) -> String {
    tokens.to_string().split_whitespace().collect()
}

fn expanded(block: TokenStream) -> String {
    plain(expand(quote!(), block))
}

/// The messages of all errors.
fn errors(args: TokenStream, block: TokenStream) -> Vec<String> {
    let expanded = expand(args, block).to_string();
    let mut errors: Vec<_> = expanded.split("compile_error ! { \"").skip(1).collect();
    for error in &mut errors {
        *error = error.split("\" }").next().unwrap_or_default();
    }
    errors.into_iter().map(str::to_owned).collect()
}

#[track_caller]
fn has(text: &str, part: TokenStream) {
    assert!(text.contains(&plain(&part)), "{}\n\nis not in\n\n{text}", plain(&part));
}

#[test]
fn a_block_is_written_out_as_a_person_would() {
    let block = quote! {
        impl Hello {
            async fn lookup(&self, name: &OsStr, parent: INodeNo) -> Result<FileAttr, Errno> { 1 }
            fn forget(&self, _ino: u64) {}
        }
    };
    let after = quote! {
        #[automatically_derived]
        impl ::async_fuser::AsyncFilesystem for Hello
        where
            Hello: ::core::marker::Send + ::core::marker::Sync + 'static
        {
            const OPERATIONS: ::async_fuser::Operations =
                ::async_fuser::Operations::NONE.with("lookup").with("forget");

            async fn lookup(&self, op: ::async_fuser::op::Lookup<'_>)
                -> ::async_fuser::lib_async::Result<::async_fuser::lib_async::Entry>
            {
                let name = ::async_fuser::__private::Field(op.name).to::<&OsStr>()?;
                let parent = ::async_fuser::__private::Field(op.parent).to::<INodeNo>()?;
                let answer = Self::lookup(self, name, parent).await;
                ::async_fuser::__private::lookup::<
                    <Result<FileAttr, Errno> as ::async_fuser::convert::Outcome>::Answer,
                    <Result<FileAttr, Errno> as ::async_fuser::convert::Outcome>::Error
                >(answer, &::async_fuser::convert::Ttl::DEFAULT)
            }

            async fn forget(&self, op: ::async_fuser::op::Forget<'_>) {
                let ::core::result::Result::Ok(ino) =
                    ::async_fuser::__private::Field(op.ino).to::<u64>()
                else {
                    return
                };
                Self::forget(self, ino);
            }
        }
    };
    let expanded = expanded(block.clone());
    assert!(expanded.starts_with(&plain(&block)), "the block is as it was");
    has(&expanded, after);
}

#[test]
fn helper_attributes_are_taken_off_and_no_others() {
    let expanded = expanded(quote! {
        impl Hello {
            #[fuse(op = "read")]
            #[inline]
            fn fetch(&self, #[fuse(field = offset)] at: u64, size: u32) -> R { #[fuse(x)] { 1 } }
            #[fuse(skip)]
            #[fuse::other]
            fn helper(&self) {}
        }
    });
    has(
        &expanded,
        quote! {
            impl Hello {
                #[inline]
                fn fetch(&self, at: u64, size: u32) -> R { #[fuse(x)] { 1 } }
                #[fuse::other]
                fn helper(&self) {}
            }
        },
    );
    has(&expanded, quote!(Field(op.offset).to::<u64>()));
    has(&expanded, quote!(Self::fetch(self, offset, size)));
    assert!(!expanded.contains("Self::helper"));
}

#[test]
fn conditions_are_copied_to_the_method_and_to_the_set() {
    let expanded = expanded(quote! {
        impl Hello {
            #[cfg(unix)]
            #[inline]
            fn unlink(&self) -> R {}
            #[cfg_attr(all(), inline, cfg(windows))]
            fn rmdir(&self) -> R {}
        }
    });
    has(
        &expanded,
        quote! {
            const OPERATIONS: ::async_fuser::Operations = {
                let set = ::async_fuser::Operations::NONE;
                #[cfg(unix)]
                let set = set.with("unlink");
                #[cfg_attr(all(), cfg(windows))]
                let set = set.with("rmdir");
                set
            };
            #[cfg(unix)]
            async fn unlink
        },
    );
    has(&expanded, quote!(#[cfg_attr(all(), cfg(windows))] async fn rmdir));
}

#[test]
fn readdir_serves_readdirplus_unless_it_cannot() {
    let of = |block: TokenStream| expanded(block).contains(".with(\"readdirplus\")");
    assert!(of(quote!(impl F { fn readdir(&self, ino: u64) -> R {} })));
    assert!(!of(quote!(impl F { fn readdir(&self, listing: &mut Listing) -> R {} })));
    assert!(!of(quote!(impl F { fn readdir(&self, op: Readdir) -> R {} })));
    assert!(!of(quote!(impl F { fn read(&self) -> R {} })));
    let both = quote!(impl F { fn readdir(&self) -> R {} fn readdirplus(&self) -> R {} });
    assert_eq!(expanded(both).matches("asyncfnreaddirplus").count(), 1);
}

#[test]
fn a_directory_that_is_closed_needs_no_snapshot() {
    let expanded = expanded(quote!(impl F { fn releasedir(&self) -> Result<(), E> {} }));
    has(&expanded, quote!(op: ::async_fuser::op::Releasedir<'_>));
    has(
        &expanded,
        quote! {
            ::async_fuser::__private::released(&op);
            let answer = Self::releasedir(self);
        },
    );
}

#[test]
fn generics_and_where_clauses_are_kept() {
    let expanded = expanded(quote! {
        impl<'a, T: Clone, const N: usize> Files<'a, T, N> where T: Debug {
            fn unlink(&self) -> R {}
        }
    });
    has(
        &expanded,
        quote! {
            impl<'a, T: Clone, const N: usize> ::async_fuser::AsyncFilesystem for Files<'a, T, N>
            where
                T: Debug,
                Files<'a, T, N>: 'static
        },
    );
}

#[test]
fn what_only_the_method_can_name_is_inferred() {
    let expanded = expanded(quote! {
        impl F {
            fn read<'a>(&'a self, op: Read<'a>) -> Result<&'a [u8], E> {}
            fn readdir(&self) -> Result<impl Iterator<Item = DirEntry> + use<'_>, E> {}
            fn unlink(&self) -> impl Future<Output = io::Result<()>> + Send {}
        }
    });
    has(&expanded, quote!(Field(op).to::<Read<'_>>()));
    has(&expanded, quote!(<Result<&'_ [u8], E> as ::async_fuser::convert::Outcome>::Answer));
    has(&expanded, quote!(<io::Result<()> as ::async_fuser::convert::Outcome>::Answer));
    has(&expanded, quote!(Self::unlink(self).await));
    assert!(!expanded.contains("__private::result"), "they are named so");
}

#[test]
fn the_crate_and_the_times_are_those_that_are_given() {
    let args = quote!(crate = my::fuse, negative_ttl = "5s", ttl = "500ms", attr_ttl = LONG);
    let expanded = plain(expand(args, quote!(impl F { fn getattr(&self) -> R {} })));
    has(
        &expanded,
        quote! {
            &my::fuse::convert::Ttl::DEFAULT
                .all(::core::time::Duration::new(0u64, 500000000u32))
                .negative(::core::time::Duration::new(5u64, 0u32))
                .attr(LONG)
        },
    );
    assert!(!expanded.contains("async_fuser"), "{expanded}");
    let text = plain(expand(quote!(crate = "my::fuse"), quote!(impl F {})));
    has(&text, quote!(impl my::fuse::AsyncFilesystem for F));
}

#[test]
fn all_mistakes_are_found_at_once() {
    let found = errors(
        quote!(tll = "1s", ttl = 1),
        quote! {
            impl F {
                fn lokup(&self) -> R {}
                fn read(&mut self, x: u8, _: u8, (a, b): (u8, u8)) -> R {}
                fn unlink<T>(self) {}
                answers!();
                fn getattr(&self) -> R {}
            }
        },
    );
    let beginnings = [
        "`#[fuse_filesystem]` has no `tll`",
        "a time has a unit",
        "a macro in a",
        "`lokup` is not an operation",
        "`read` takes `&self`",
        "`read` has no parameter `x`",
        "a parameter's name says what it is",
        "a parameter is a plain name",
        "`unlink` cannot be generic",
        "`unlink` takes `&self`",
        "`unlink` returns a `Result`",
    ];
    assert_eq!(found.len(), beginnings.len(), "{found:#?}");
    for (error, beginning) in found.iter().zip(beginnings) {
        assert!(error.starts_with(beginning), "{error}");
    }
}

#[test]
fn what_is_wrong_leaves_the_rest_implemented() {
    let expanded = expanded(quote! {
        impl F {
            fn lokup(&self) -> R {}
            fn broken(&self, : ) -> R {}
            fn getattr(&self) -> R { self. }
        }
    });
    has(
        &expanded,
        quote!(
            fn lokup(&self) -> R {}
        ),
    );
    has(&expanded, quote!(Operations::NONE.with("getattr");));
    assert_eq!(expanded.matches("compile_error").count(), 2, "{expanded}");
}

#[test]
fn what_is_no_block_is_left_as_it_is() {
    for item in [
        quote!(
            struct F;
        ),
        quote!(
            trait F {}
        ),
        quote!(
            fn f() {}
        ),
    ] {
        let expanded = expanded(item.clone());
        assert!(expanded.starts_with(&plain(item)));
        assert!(expanded.contains("goesonan`impl`block"), "{expanded}");
    }
    let found = errors(quote!(), quote!(impl AsyncFilesystem for F {}));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("of the type's own"));
}

#[test]
fn every_operation_can_be_written_and_takes_each_of_its_parameters() {
    for operation in Operation::all().filter(|operation| operation.is_asked()) {
        let method: syn::Ident = syn::parse_str(operation.method).unwrap();
        let by_runtime = |name: &str| {
            // These do not go with another parameter.
            matches!(name, "buf" | "listing" | "op")
                || operation.method.starts_with("readdir") && matches!(name, "offset" | "size")
        };
        let names = operation.parameters().into_iter().filter(|name| !by_runtime(name));
        let names: Vec<syn::Ident> = names.map(|name| syn::parse_str(name).unwrap()).collect();
        let block = quote! {
            impl F {
                fn #method(&self, #(#names: T),*) -> R {}
                fn setlk(&self) -> R {}
                fn forget(&self) {}
                fn getattr(&self) -> R {}
            }
        };
        assert_eq!(errors(quote!(), block), [""; 0], "{method}");
    }
}

#[test]
fn random_tokens_are_an_error_and_no_panic() {
    let words = [
        "impl", "F", "<", ">", "'a", "fn", "read", "(", ")", "{", "}", "&", "self", ",", ":",
        "u64", "->", "R", "#", "[", "]", "fuse", "=", "\"1s\"", "async", "const", ";", "!",
        "where", "for", "ttl", "crate", "type", "unsafe", "mut", "op", "_", "1.5",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut tried = 0;
    for _ in 0..20_000 {
        let mut text = if random(2) == 0 { "impl F {" } else { "" }.to_owned();
        for _ in 0..random(16) {
            text.push_str(words[random(words.len())]);
            text.push(' ');
        }
        if text.starts_with("impl F {") {
            text.push('}');
        }
        let Ok(tokens) = text.parse::<TokenStream>() else { continue };
        let _expanded = expand(tokens.clone(), tokens);
        tried += 1;
    }
    assert!(tried > 1000, "only {tried} were tokens");
}
