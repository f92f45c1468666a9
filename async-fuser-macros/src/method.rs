//! One method of the block, read as the answer to an operation.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, FnArg, GenericArgument, GenericParam, Lifetime, Meta, Pat, PatType, PathArguments,
    Receiver, ReturnType, Signature, Token, Type, TypeImplTrait, TypeInfer, TypeParamBound,
    TypePath, parse_quote,
};

use crate::args::{self, MethodArgs};
use crate::block::Function;
use crate::errors::Errors;
use crate::nearest::{list, nearest};
use crate::operations::{Answer, Operation};

/// A method that answers an operation.
pub(crate) struct Method {
    pub(crate) operation: &'static Operation,
    pub(crate) name: Ident,
    pub(crate) is_async: bool,
    pub(crate) params: Vec<Param>,
    /// What it returns; `None` is `()`.
    pub(crate) returns: Option<Type>,
    /// Whether only the compiler knows what that is: there is an `impl Trait` in it.
    pub(crate) is_opaque: bool,
    /// Whether it is compiled at all.
    pub(crate) cfgs: Vec<Attribute>,
}

/// A parameter.
pub(crate) struct Param {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
    pub(crate) source: Source,
}

/// Where a parameter is from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    Field(&'static str),
    /// The operation as a whole.
    Op,
    /// Made by its type from the request.
    Request,
    /// What the answer to a read is written into.
    Buffer,
    /// What a listing is written into.
    Sink,
}

impl Method {
    /// `None` if it is to be skipped, or if nothing can be made of it.
    pub(crate) fn read(function: &Function, errors: &mut Errors) -> Option<Self> {
        let Function { attrs, sig } = function;
        let args = match MethodArgs::read(attrs) {
            Ok(args) if args.skip => return None,
            Ok(args) => args,
            Err(found) => {
                errors.extend(found);
                return None;
            }
        };
        let operation = operation(args.op.as_ref().unwrap_or(&sig.ident), errors)?;
        let mut found = Errors::default();
        qualifiers(sig, operation, &mut found);
        let params = params(sig, operation, &mut found);
        let (is_async, returns) = returns(sig);
        if returns.is_none() && operation.answer != Answer::Nothing {
            found.at(&sig.ident, missing_result(operation));
        }
        if !found.is_empty() {
            errors.extend(found);
            return None;
        }
        let (name, cfgs) = (sig.ident.clone(), attrs.iter().filter_map(cfg).collect());
        let is_opaque = returns.as_ref().is_some_and(has_impl);
        let returns = returns.map(|returns| nameable(&returns, sig));
        Some(Self { operation, name, is_async, params, returns, is_opaque, cfgs })
    }

    /// Whether the method fills what the runtime gave it, or keeps offsets of its own.
    pub(crate) fn has(&self, source: Source) -> bool {
        self.params.iter().any(|param| param.source == source)
    }
}

fn operation(name: &Ident, errors: &mut Errors) -> Option<&'static Operation> {
    let text = name.unraw().to_string();
    let found = Operation::named(&text);
    if found.is_none() {
        let hint = match hint(&text) {
            Some(hint) => format!("\nhelp: {hint}"),
            None => nearest(&text, Operation::all().map(|operation| operation.method))
                .map_or_else(String::new, |meant| format!("\nhelp: did you mean `{meant}`?")),
        };
        errors.at(
            name,
            format!(
                "`{text}` is not an operation of a filesystem{hint}\nnote: a helper goes into \
                 another `impl` block, or has `#[fuse(skip)]` on it"
            ),
        );
    }
    found
}

/// What names of other libraries and of system calls are called here.
fn hint(name: &str) -> Option<&'static str> {
    Some(match name {
        "rename2" | "renameat2" => "this is `rename`; its flags are the parameter `flags`",
        "opendir2" => "this is `opendir`",
        "open2" => "this is `open`",
        "create2" | "creat" | "mkfile" => "this is `create`",
        "fgetattr" | "fstat" | "stat" | "lstat" | "getattr2" => {
            "this is `getattr`; the open file is the parameter `fh`"
        }
        "statx2" => "this is `statx`",
        "chmod" => "this is `setattr`; what changes is the parameter `mode: Option<u32>`",
        "chown" => "this is `setattr`; what changes are the parameters `uid` and `gid`",
        "truncate" | "ftruncate" | "setsize" => {
            "this is `setattr`; what changes is the parameter `size: Option<u64>`"
        }
        "utimens" | "utimensat" | "utime" | "utimes" => {
            "this is `setattr`; what changes are the parameters `atime` and `mtime`"
        }
        "getxattr_size" => {
            "this is `getxattr`: return the value, the runtime answers whoever asks for its size"
        }
        "listxattr_size" => {
            "this is `listxattr`: return the names, the runtime answers whoever asks for their size"
        }
        "readdir2" | "readdir_plus" | "readdir_with_attributes" => {
            "this is `readdir`: entries with attributes serve `readdirplus` as well"
        }
        "read_buf" => "this is `read`; `buf: &mut [u8]` is what to read into",
        "write_buf" => "this is `write`; the bytes are the parameter `data`",
        "forget_multi" | "forget2" => "this is `batch_forget`, or just `forget` for each",
        "lock" | "setlkw" | "fcntl" => {
            "these are `getlk` and `setlk`, which waits if `sleep` says so"
        }
        "flock" => "this is `setlk` with `flock: bool`",
        "mkfifo" => "this is `mknod`, with the kind in `mode`",
        "copy_file_range2" | "copy_file_range_64" | "copyfilerange64" => {
            "this is `copy_file_range`, whatever the kernel's form of it"
        }
        "ioctl2" => "this is `ioctl`",
        "interrupt" => {
            "take a parameter `cancellation: Cancellation` in the method that is interrupted"
        }
        "mount" | "mounted" => "this is `init`, called when the connection begins",
        "unmount" | "umount" | "unmounted" | "drop" => {
            "this is `destroy`, called when the connection is over"
        }
        "close" => "these are `flush` for each descriptor, and `release` for the last",
        "closedir" => "this is `releasedir`",
        "delete" | "remove" => "these are `unlink` for files and `rmdir` for directories",
        "getdents" | "listdir" | "list" => "this is `readdir`",
        "sync" => "these are `fsync` for a file and `syncfs` for everything",
        "seek" | "llseek" => "this is `lseek`",
        _ => return None,
    })
}

/// What stands around the parameters.
fn qualifiers(sig: &Signature, operation: &Operation, errors: &mut Errors) {
    let method = operation.method;
    if let Some(token) = &sig.unsafety {
        errors.at(token, format!("`{method}` cannot be `unsafe`: the kernel calls it"));
    }
    if let Some(abi) = &sig.abi {
        errors.at(abi, format!("`{method}` is called from Rust: it has no other ABI"));
    }
    if let Some(variadic) = &sig.variadic {
        errors.at(variadic, format!("`{method}` has no further arguments"));
    }
    for param in &sig.generics.params {
        let (GenericParam::Type(_) | GenericParam::Const(_)) = param else { continue };
        errors.at(
            param,
            format!(
                "`{method}` cannot be generic: the kernel's call does not say for which type\n\
                 help: a parameter of the whole `impl` block can be"
            ),
        );
    }
    receiver(sig, operation, errors);
}

fn receiver(sig: &Signature, operation: &Operation, errors: &mut Errors) {
    let method = operation.method;
    let Some(receiver) = sig.receiver() else {
        errors.at(
            &sig.ident,
            format!(
                "`{method}` has no `&self`\nnote: an associated function that is no operation has \
                 `#[fuse(skip)]` on it"
            ),
        );
        return;
    };
    match access(receiver) {
        Access::Shared => {}
        Access::Exclusive if operation.is_exclusive() => {}
        Access::Exclusive => errors.at(
            receiver,
            format!(
                "`{method}` takes `&self`: the kernel's calls run at the same time\nhelp: what \
                 changes goes behind a lock (`Mutex`, `RwLock`) or into an atomic\nnote: only \
                 `init` and `destroy` run alone, and may take `&mut self`"
            ),
        ),
        Access::Other if operation.is_exclusive() => {
            errors.at(receiver, format!("`{method}` takes `&mut self` or `&self`"));
        }
        Access::Other => errors.at(receiver, format!("`{method}` takes `&self`")),
    }
}

enum Access {
    Shared,
    Exclusive,
    Other,
}

fn access(receiver: &Receiver) -> Access {
    // `self: &Self` is as good as `&self`.
    match &*receiver.ty {
        Type::Reference(reference) if is_self(&reference.elem) => match reference.mutability {
            Some(_) => Access::Exclusive,
            None => Access::Shared,
        },
        _ => Access::Other,
    }
}

fn is_self(ty: &Type) -> bool {
    matches!(ty, Type::Path(TypePath { qself: None, path }) if path.is_ident("Self"))
}

fn params(sig: &Signature, operation: &'static Operation, errors: &mut Errors) -> Vec<Param> {
    let mut params: Vec<Param> = Vec::new();
    for input in &sig.inputs {
        let FnArg::Typed(input) = input else { continue };
        let field = match args::field(&input.attrs) {
            Ok(field) => field,
            Err(found) => {
                errors.extend(found);
                continue;
            }
        };
        for attr in input.attrs.iter().filter(|attr| attr.path().is_ident("cfg")) {
            errors.at(attr, "a parameter is always there: put the `#[cfg]` on the method");
        }
        let Some(name) = param_name(input, operation, errors) else { continue };
        let asked = field.as_ref().unwrap_or(name);
        let Some(source) = source(asked, &input.ty, operation, errors) else { continue };
        if has_impl(&input.ty) {
            errors
                .at(&input.ty, format!("`{}` cannot be generic: name the type", operation.method));
            continue;
        }
        let is_twice = source != Source::Request
            && params.iter().any(|earlier: &Param| earlier.source == source);
        if is_twice {
            errors.at(asked, format!("a second parameter takes `{}`", plain(asked)));
            continue;
        }
        let ty = nameable(&input.ty, sig);
        params.push(Param { source, ty, name: name.clone() });
    }
    offsets(&params, operation, errors);
    params
}

/// A listing that is returned is resumed by the runtime, so its offsets mean nothing to a method.
fn offsets(params: &[Param], operation: &Operation, errors: &mut Errors) {
    let is_listing = matches!(operation.answer, Answer::Listing | Answer::ListingPlus);
    let is_own = params.iter().any(|param| matches!(param.source, Source::Op | Source::Sink));
    if !is_listing || is_own {
        return;
    }
    let of_runtime =
        |param: &&Param| matches!(param.source, Source::Field("offset") | Source::Field("size"));
    let Some(Param { name, .. }) = params.iter().find(of_runtime) else { return };
    let sink = if operation.answer == Answer::Listing { "Listing" } else { "ListingPlus" };
    errors.at(
        name,
        format!(
            "`{name}` is the runtime's: it resumes a listing that is returned, so return all \
             entries\nhelp: to keep offsets of your own, fill a parameter `listing: &mut {sink}`"
        ),
    );
}

fn param_name<'a>(
    input: &'a PatType,
    operation: &Operation,
    errors: &mut Errors,
) -> Option<&'a Ident> {
    match &*input.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => Some(&pat.ident),
        Pat::Wild(wild) => {
            errors.at(
                wild,
                format!(
                    "a parameter's name says what it is, and `_` is none\nhelp: leave it out, or \
                     name it: `{}` has {}",
                    operation.method,
                    list(operation.parameters())
                ),
            );
            None
        }
        pat => {
            errors.at(
                pat,
                "a parameter is a plain name, which says what it is\nhelp: take it apart in the \
                 body",
            );
            None
        }
    }
}

/// The name without its underscore.
fn plain(name: &Ident) -> String {
    let name = name.unraw().to_string();
    name.strip_prefix('_').map_or_else(|| name.clone(), str::to_owned)
}

fn source(
    name: &Ident,
    ty: &Type,
    operation: &'static Operation,
    errors: &mut Errors,
) -> Option<Source> {
    let text = plain(name);
    let takes = operation.parameters();
    if let Some(field) = operation.fields.iter().find(|field| **field == text) {
        return Some(Source::Field(field));
    }
    if takes.contains(&text.as_str()) {
        return Some(match text.as_str() {
            "req" => Source::Field("req"),
            "op" => Source::Op,
            "buf" => Source::Buffer,
            "listing" => Source::Sink,
            _ => Source::Request,
        });
    }
    if takes.contains(&"cancellation") && is_by_request(ty) {
        return Some(Source::Request);
    }
    let method = operation.method;
    let hint = match param_hint(&text, &takes) {
        Some(hint) => format!("\nhelp: {hint}"),
        None => String::new(),
    };
    let note = if takes.is_empty() {
        format!("`{method}` takes no parameters")
    } else {
        format!("`{method}` has {}", list(takes))
    };
    errors.at(name, format!("`{method}` has no parameter `{text}`{hint}\nnote: {note}"));
    None
}

/// Types that say by themselves what they are.
fn is_by_request(ty: &Type) -> bool {
    let Type::Path(TypePath { qself: None, path }) = ty else { return false };
    let last = path.segments.last().map(|segment| segment.ident.to_string());
    matches!(last.as_deref(), Some("Caller" | "Cancellation" | "AsyncNotifier"))
}

fn param_hint(name: &str, takes: &[&'static str]) -> Option<String> {
    let meant: &[&str] = match name {
        "reply" => return Some("there is no reply: return the answer".to_owned()),
        "inode" | "nodeid" | "node" | "path" => &["ino", "parent"],
        "handle" | "file_handle" | "file" | "fi" => &["fh"],
        "off" | "pos" => &["offset"],
        "position" => &["offset"],
        "count" | "length" | "len" => &["size", "length", "len", "data"],
        "buffer" | "bytes" | "content" => &["buf", "data", "value"],
        "request" | "context" | "ctx" => &["req"],
        "new_parent" | "to_parent" => &["newparent"],
        "new_name" | "to_name" | "to" => &["newname"],
        "dir" | "parent_ino" | "directory" => &["parent", "ino"],
        "permissions" | "perm" => &["mode"],
        "uid" | "gid" | "pid" => &["caller"],
        "token" | "cancel" => &["cancellation"],
        "entries" | "sink" => &["listing"],
        _ => &[],
    };
    let known = meant.iter().copied().find(|meant| takes.contains(meant));
    let meant = known.or_else(|| nearest(name, takes.iter().copied()))?;
    Some(format!("did you mean `{meant}`?"))
}

fn missing_result(operation: &Operation) -> String {
    let method = operation.method;
    let ok = match operation.answer {
        Answer::Empty | Answer::Init => ": `Result<(), E>`, and `Ok(())` when it is done",
        _ => "",
    };
    format!("`{method}` returns a `Result`{ok}")
}

/// Whether the method returns a future, and what that comes to; else what the method returns.
fn returns(sig: &Signature) -> (bool, Option<Type>) {
    let ReturnType::Type(_, ty) = &sig.output else { return (sig.asyncness.is_some(), None) };
    match future_output(ty) {
        Some(output) if sig.asyncness.is_none() => (true, Some(output.clone())),
        _ => (sig.asyncness.is_some(), Some((**ty).clone())),
    }
}

/// The `T` of an `impl Future<Output = T>`.
fn future_output(ty: &Type) -> Option<&Type> {
    let Type::ImplTrait(TypeImplTrait { bounds, .. }) = ty else { return None };
    let traits = bounds.iter().filter_map(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last(),
        _ => None,
    });
    let arguments = traits.filter_map(|last| match &last.arguments {
        PathArguments::AngleBracketed(arguments) if last.ident == "Future" => Some(arguments),
        _ => None,
    });
    arguments.flat_map(|arguments| &arguments.args).find_map(|argument| match argument {
        GenericArgument::AssocType(output) if output.ident == "Output" => Some(&output.ty),
        _ => None,
    })
}

fn has_impl(ty: &Type) -> bool {
    struct Finder(bool);
    impl VisitMut for Finder {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            self.0 |= matches!(ty, Type::ImplTrait(_));
            visit_mut::visit_type_mut(self, ty);
        }
    }
    let mut finder = Finder(false);
    finder.visit_type_mut(&mut ty.clone());
    finder.0
}

/// The type as another function can name it: a lifetime of the method's own, and what only the
/// compiler knows, is left to be inferred.
fn nameable(ty: &Type, sig: &Signature) -> Type {
    struct Infer<'a>(Vec<&'a Ident>);
    impl VisitMut for Infer<'_> {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            if let Type::ImplTrait(_) = ty {
                *ty = Type::Infer(TypeInfer { underscore_token: Token![_](ty.span()) });
            }
            visit_mut::visit_type_mut(self, ty);
        }

        fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
            if self.0.contains(&&lifetime.ident) {
                lifetime.ident = Ident::new("_", lifetime.ident.span());
            }
        }
    }
    let mut ty = ty.clone();
    let own = sig.generics.lifetimes().map(|param| &param.lifetime.ident).collect();
    Infer(own).visit_type_mut(&mut ty);
    ty
}

/// What of an attribute decides whether the method is there.
fn cfg(attr: &Attribute) -> Option<Attribute> {
    if attr.path().is_ident("cfg") {
        return Some(attr.clone());
    }
    if !attr.path().is_ident("cfg_attr") {
        return None;
    }
    let Meta::List(list) = &attr.meta else { return None };
    let tokens: Vec<_> = list.tokens.clone().into_iter().collect();
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
    let mut parts = tokens.split(is_comma).map(|part| part.iter().cloned().collect());
    let condition: TokenStream = parts.next()?;
    let cfgs: Vec<TokenStream> = parts.filter(begins_with_cfg).collect();
    if cfgs.is_empty() { None } else { Some(parse_quote!(#[cfg_attr(#condition, #(#cfgs),*)])) }
}

fn begins_with_cfg(attr: &TokenStream) -> bool {
    attr.clone().into_iter().next().is_some_and(|token| token.to_string() == "cfg")
}
