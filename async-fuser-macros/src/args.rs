//! The attribute's own arguments, and the helper attributes `#[fuse(...)]`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Error, Expr, ExprLit, Ident, Lit, LitStr, Meta, Path, Result, Token};

use crate::errors::Errors;
use crate::nearest::{list, nearest};

/// What `#[fuse_filesystem(...)]` says.
pub(crate) struct Args {
    /// Where the runtime is.
    pub(crate) krate: TokenStream,
    /// Whether the user says where.
    is_told: bool,
    /// How long the kernel may use an answer that does not say so itself.
    pub(crate) ttl: TokenStream,
}

const KEYS: [&str; 5] = ["crate", "ttl", "entry_ttl", "attr_ttl", "negative_ttl"];

impl Args {
    pub(crate) fn read(tokens: TokenStream, errors: &mut Errors) -> Self {
        let krate = quote!(::async_fuser);
        let mut args = Self { ttl: quote!(#krate::convert::Ttl::DEFAULT), krate, is_told: false };
        let pairs = match pairs.parse2(tokens) {
            Ok(pairs) => pairs,
            Err(error) => {
                errors.add(error);
                return args;
            }
        };
        let mut seen: Vec<String> = Vec::new();
        let mut ttls = TokenStream::new();
        for Pair { key, value } in pairs {
            let name = key.unraw().to_string();
            if !KEYS.contains(&name.as_str()) {
                errors.at(key, unknown(&name, "`#[fuse_filesystem]`", &KEYS));
                continue;
            }
            if seen.contains(&name) {
                errors.at(key, format!("`{name}` is given twice"));
                continue;
            }
            let Some(value) = value else {
                errors.at(&key, format!("`{name}` needs a value: `{}`", example(&name)));
                continue;
            };
            let read = match name.as_str() {
                "crate" => path(value).map(|path| {
                    args.krate = path;
                    args.is_told = true;
                }),
                "ttl" => time(value).map(|time| ttls = quote!(.all(#time) #ttls)),
                name => {
                    let field = Ident::new(name.trim_end_matches("_ttl"), Span::mixed_site());
                    time(value).map(|time| ttls.extend(quote!(.#field(#time))))
                }
            };
            if let Err(error) = read {
                errors.add(error);
            }
            seen.push(name);
        }
        let krate = &args.krate;
        args.ttl = quote!(#krate::convert::Ttl::DEFAULT #ttls);
        args
    }

    /// The runtime, as if it were named at some place. What the user named stays where it was.
    pub(crate) fn krate_at(&self, span: Span) -> TokenStream {
        if self.is_told { self.krate.clone() } else { quote_spanned!(span=> ::async_fuser) }
    }
}

fn example(key: &str) -> &'static str {
    match key {
        "crate" => "crate = my::async_fuser",
        "ttl" => "ttl = \"1s\"",
        "entry_ttl" => "entry_ttl = \"1s\"",
        "attr_ttl" => "attr_ttl = \"1s\"",
        _ => "negative_ttl = \"1s\"",
    }
}

fn unknown(name: &str, what: &str, keys: &[&str]) -> String {
    let meant = nearest(name, keys.iter().copied())
        .map_or_else(String::new, |meant| format!("\nhelp: did you mean `{meant}`?"));
    format!("{what} has no `{name}`{meant}\nnote: it takes {}", list(keys.iter().copied()))
}

fn path(value: Expr) -> Result<TokenStream> {
    match value {
        Expr::Path(path) if path.qself.is_none() => Ok(path.path.into_token_stream()),
        Expr::Lit(ExprLit { lit: Lit::Str(path), .. }) => {
            Ok(path.parse_with(Path::parse_mod_style)?.into_token_stream())
        }
        other => Err(Error::new_spanned(
            other,
            "the path of the crate `async_fuser`, such as `crate = my::async_fuser`",
        )),
    }
}

/// A time: a number with its unit, or any expression that is a `Duration`.
fn time(value: Expr) -> Result<TokenStream> {
    let text = match &value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => text,
        Expr::Lit(other) => {
            return Err(Error::new_spanned(
                other,
                "a time has a unit: `\"1s\"`, `\"500ms\"`, `\"2m\"`, or a `Duration`",
            ));
        }
        other => return Ok(other.to_token_stream()),
    };
    let (secs, nanos) = duration(&text.value()).ok_or_else(|| {
        let message = format!(
            "`{}` is not a time\nnote: a time is a number and its unit: `ns`, `us`, `ms`, `s`, \
             `m`, `h` or `d`",
            text.value()
        );
        Error::new_spanned(text, message)
    })?;
    Ok(quote!(::core::time::Duration::new(#secs, #nanos)))
}

/// Whole seconds and nanoseconds of `1s`, `1.5 h`, `0`.
fn duration(text: &str) -> Option<(u64, u32)> {
    let text = text.trim();
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let number = number.trim();
    let nanos: u128 = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        "" if number == "0" => 1,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(part) || part.len() > 9 {
        return None;
    }
    if number.contains('.') && part.is_empty() {
        return None;
    }
    let scale = 10u128.pow(part.len() as u32);
    let part = if part.is_empty() { 0 } else { part.parse().ok()? };
    let number = whole.parse::<u128>().ok()?.checked_mul(scale)?.checked_add(part)?;
    let nanos = number.checked_mul(nanos)? / scale;
    let secs = u64::try_from(nanos / 1_000_000_000).ok()?;
    Some((secs, (nanos % 1_000_000_000) as u32))
}

/// What `#[fuse(...)]` says of a method.
#[derive(Default)]
pub(crate) struct MethodArgs {
    pub(crate) skip: bool,
    /// The operation it answers, if its name does not say so.
    pub(crate) op: Option<Ident>,
}

impl MethodArgs {
    pub(crate) fn read(attrs: &[Attribute]) -> std::result::Result<Self, Errors> {
        let mut errors = Errors::default();
        let mut args = Self::default();
        for Pair { key, value } in helper_pairs(attrs, "skip` or `op = \"read\"", &mut errors) {
            match (key.unraw().to_string().as_str(), value) {
                ("skip", None) if !args.skip => args.skip = true,
                ("op", Some(value)) if args.op.is_none() => match name(&value) {
                    Some(name) => args.op = Some(name),
                    None => errors.at(value, "the name of an operation, such as `op = \"read\"`"),
                },
                ("skip", Some(value)) => errors.at(value, "`skip` takes no value"),
                ("op", None) => errors.at(key, "`op` needs a value: `op = \"read\"`"),
                ("skip" | "op", _) => errors.at(&key, format!("`{key}` is given twice")),
                (name, _) => {
                    errors.at(&key, unknown(name, "`#[fuse]` on a method", &["skip", "op"]));
                }
            }
        }
        if let (true, Some(op)) = (args.skip, &args.op) {
            errors.at(op, "a method that is skipped answers no operation");
        }
        if errors.is_empty() { Ok(args) } else { Err(errors) }
    }
}

/// The field that `#[fuse(field = ...)]` on a parameter names.
pub(crate) fn field(attrs: &[Attribute]) -> std::result::Result<Option<Ident>, Errors> {
    let mut errors = Errors::default();
    let mut field = None;
    for Pair { key, value } in helper_pairs(attrs, "field = offset", &mut errors) {
        match (key.unraw().to_string().as_str(), value) {
            ("field", Some(value)) if field.is_none() => match name(&value) {
                Some(name) => field = Some(name),
                None => errors.at(value, "the name of a field, such as `field = offset`"),
            },
            ("field", None) => errors.at(key, "`field` needs a value: `field = offset`"),
            ("field", _) => errors.at(key, "`field` is given twice"),
            (name, _) => errors.at(&key, unknown(name, "`#[fuse]` on a parameter", &["field"])),
        }
    }
    if errors.is_empty() { Ok(field) } else { Err(errors) }
}

/// Whether an attribute is ours, and so must not reach the compiler.
pub(crate) fn is_helper(attr: &Attribute) -> bool {
    attr.path().is_ident("fuse")
}

fn helper_pairs(attrs: &[Attribute], takes: &str, errors: &mut Errors) -> Vec<Pair> {
    let mut all = Vec::new();
    for attr in attrs.iter().filter(|attr| is_helper(attr)) {
        let read = match &attr.meta {
            Meta::List(list) if !list.tokens.is_empty() => pairs.parse2(list.tokens.clone()),
            meta => Err(Error::new_spanned(meta, format!("`#[fuse(...)]` takes `{takes}`"))),
        };
        match read {
            Ok(pairs) => all.extend(pairs),
            Err(error) => errors.add(error),
        }
    }
    all
}

/// A name, with or without quotation marks.
fn name(value: &Expr) -> Option<Ident> {
    match value {
        Expr::Path(path) if path.qself.is_none() => path.path.get_ident().cloned(),
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => parse_name(text),
        _ => None,
    }
}

fn parse_name(text: &LitStr) -> Option<Ident> {
    text.parse_with(Ident::parse_any).ok()
}

/// `key`, or `key = value`.
struct Pair {
    key: Ident,
    value: Option<Expr>,
}

impl Parse for Pair {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let Ok(key) = input.call(Ident::parse_any) else {
            return Err(input.error("expected `key = value`"));
        };
        let has_value = input.parse::<Option<Token![=]>>()?.is_some();
        let value = if has_value { Some(input.parse()?) } else { None };
        Ok(Self { key, value })
    }
}

fn pairs(input: ParseStream<'_>) -> Result<Vec<Pair>> {
    let pairs = input.parse_terminated(Pair::parse, Token![,])?;
    Ok(pairs.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_number_and_a_unit() {
        for (text, time) in [
            ("1s", (1, 0)),
            ("0", (0, 0)),
            (" 500 ms ", (0, 500_000_000)),
            ("1.5s", (1, 500_000_000)),
            ("2m", (120, 0)),
            ("1h", (3600, 0)),
            ("1d", (86_400, 0)),
            ("1us", (0, 1_000)),
            ("0.5ns", (0, 0)),
        ] {
            assert_eq!(duration(text), Some(time), "{text}");
        }
        for text in [
            "",
            "s",
            "1",
            "1 second",
            "-1s",
            "1.s",
            ".5s",
            "1e3s",
            "1s2m",
            "1 s s",
            "1.0000000001s",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(duration(&format!("{}d", u128::MAX)), None);
        assert_eq!(duration("99999999999999999999999999999999999999999999s"), None);
        assert_eq!(duration(&format!("{}s", u64::MAX)), Some((u64::MAX, 0)));
        assert_eq!(duration(&format!("{}m", u64::MAX)), None);
    }
}
