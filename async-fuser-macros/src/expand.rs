//! The block, and after it the same written out as an `impl AsyncFilesystem`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Attribute, GenericArgument, PathArguments, Type, TypePath, parse_quote};

use crate::args::Args;
use crate::block::{Block, without_helpers};
use crate::errors::Errors;
use crate::method::{Method, Param, Source};
use crate::nearest::list;
use crate::operations::{Answer, Operation};

pub(crate) fn expand(args: TokenStream, block: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = Args::read(args, &mut errors);
    let expanded = match syn::parse2::<Block>(block.clone()) {
        Ok(block) => implementation(&args, block, &mut errors),
        Err(error) => {
            errors.add(error);
            None
        }
    };
    // The user's code stays whatever is wrong with it, so that nothing else goes red.
    let block = without_helpers(block);
    quote!(#block #errors #expanded)
}

fn implementation(args: &Args, mut block: Block, errors: &mut Errors) -> Option<TokenStream> {
    if let Some(of_trait) = &block.of_trait {
        errors.at(
            of_trait,
            "`#[fuse_filesystem]` goes on an `impl` block of the type's own\nhelp: leave `for` and \
             what is before it out: the attribute writes the `impl AsyncFilesystem`",
        );
        return None;
    }
    errors.extend(std::mem::take(&mut block.errors));
    let mut methods: Vec<Method> = Vec::new();
    for function in &block.functions {
        let Some(method) = Method::read(function, errors) else { continue };
        match twin(&methods, &method) {
            // The compiler complains of two functions of one name.
            Some(twin) if twin.name == method.name => {}
            Some(twin) => errors.at(
                &method.name,
                format!("`{}` answers `{}` already", twin.name, method.operation.method),
            ),
            None => methods.push(method),
        }
    }
    pairs(&methods, &block, errors);
    Some(Expansion { args, block: &block, methods: &methods }.tokens())
}

/// The method that answers the same operation, where both are compiled whatever is configured.
fn twin<'a>(methods: &'a [Method], method: &Method) -> Option<&'a Method> {
    let twin = methods.iter().find(|other| other.operation.method == method.operation.method)?;
    (twin.cfgs.is_empty() || method.cfgs.is_empty()).then_some(twin)
}

/// What makes no sense without another operation.
fn pairs(methods: &[Method], block: &Block, errors: &mut Errors) {
    const PAIRS: [(&str, &str, &str); 3] = [
        ("getlk", "setlk", "nobody can take a lock"),
        ("batch_forget", "forget", "the kernel forgets single inodes too"),
        ("statx", "getattr", "the kernel asks it for everything but the time of birth"),
    ];
    for (alone, other, why) in PAIRS {
        let Some(method) = methods.iter().find(|method| method.operation.method == alone) else {
            continue;
        };
        // One that is skipped, conditional or wrong counts as there.
        let is_there = methods.iter().any(|method| method.operation.method == other)
            || block.functions.iter().any(|function| function.sig.ident == other);
        if !is_there {
            errors.at(&method.name, format!("`{alone}` needs `{other}`, too: {why}"));
        }
    }
}

struct Expansion<'a> {
    args: &'a Args,
    block: &'a Block,
    methods: &'a [Method],
}

impl Expansion<'_> {
    fn tokens(&self) -> TokenStream {
        let Block { attrs, generics, this, .. } = self.block;
        let krate = &self.args.krate;
        let cfgs = attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
        let docs = self.docs().into_iter().map(|line| quote!(#[doc = #line]));
        // What a filesystem must be is asked of it once, at its type, and not in every method.
        let mut generics = generics.clone();
        let (start, end) = ends(this);
        let colon = quote_spanned!(start=> :);
        let bounds = if generics.lifetimes().next().is_some() {
            // Of a type with lifetimes no future could be shown to be `Send` by such a clause.
            quote_spanned!(end=> 'static)
        } else {
            quote_spanned!(end=> ::core::marker::Send + ::core::marker::Sync + 'static)
        };
        generics.make_where_clause().predicates.push(parse_quote!(#this #colon #bounds));
        let (generics, _, clause) = generics.split_for_impl();
        let operations = self.operations();
        let methods = self.methods.iter().map(|method| self.method(method));
        let readdirplus = self.readdirplus();
        quote! {
            #(#docs)*
            #[automatically_derived]
            #(#cfgs)*
            impl #generics #krate::AsyncFilesystem for #this #clause {
                #operations
                #(#methods)*
                #readdirplus
            }
        }
    }

    fn docs(&self) -> Vec<String> {
        let is_ours = |operation: &&Operation| {
            self.methods.iter().any(|method| method.operation.method == operation.method)
                || operation.method == "readdirplus" && self.listed().is_some()
        };
        let (ours, others): (Vec<_>, Vec<_>) = Operation::all().partition(is_ours);
        let names = |operations: Vec<&'static Operation>| {
            list(operations.into_iter().filter(|one| !one.is_macos()).map(|one| one.method))
        };
        vec![
            " Made by `#[fuse_filesystem]`.".to_owned(),
            String::new(),
            format!(" Implemented: {}.", names(ours)),
            String::new(),
            format!(" As by default: {}.", names(others)),
        ]
    }

    /// The set of operations. Where none is conditional, it is one expression.
    fn operations(&self) -> TokenStream {
        let krate = &self.args.krate;
        let mut all: Vec<(&'static str, Vec<Attribute>)> = Vec::new();
        for method in self.methods.iter().filter(|method| method.operation.is_asked()) {
            all.push((method.operation.method, cfgs(method)));
        }
        if let Some(readdir) = self.listed() {
            all.push(("readdirplus", cfgs(readdir)));
        }
        let names = all.iter().map(|(name, _)| name);
        if all.iter().all(|(_, cfgs)| cfgs.is_empty()) {
            return quote! {
                const OPERATIONS: #krate::Operations =
                    #krate::Operations::NONE #(.with(#names))*;
            };
        }
        let set = Ident::new("set", Span::mixed_site());
        let cfgs = all.iter().map(|(_, cfgs)| quote!(#(#cfgs)*));
        quote! {
            const OPERATIONS: #krate::Operations = {
                let #set = #krate::Operations::NONE;
                #(#cfgs let #set = #set.with(#names);)*
                #set
            };
        }
    }

    fn method(&self, method: &Method) -> TokenStream {
        match method.operation.method {
            "init" => self.init(method),
            "destroy" => self.destroy(method),
            _ => self.asked(method, method.operation),
        }
    }

    /// A method that the kernel asks for. `operation` is what is asked, and need not be the
    /// method's own.
    fn asked(&self, method: &Method, operation: &'static Operation) -> TokenStream {
        let krate = &self.args.krate;
        let Names { this, op, .. } = &Names::new();
        let cfgs = cfgs(method);
        let body = self.body(method, operation);
        let binding = if method.needs_op() { quote!(#op) } else { quote!(_) };
        // The signature is where a future that is not `Send` is complained of.
        let span = mixed(method.name.span());
        let name = Ident::new(operation.method, span);
        let op_type = Ident::new(&operation.type_name(), span);
        let returned = returned(operation.answer, &self.args.krate_at(span), span);
        let head = quote_spanned! {span=>
            async fn #name(&#this, #binding: #krate::op::#op_type<'_>) #returned
        };
        quote!(#(#cfgs)* #head { #body })
    }

    fn body(&self, method: &Method, operation: &'static Operation) -> TokenStream {
        let krate = &self.args.krate;
        let Names { op, buffer, listing, answer, .. } = &Names::new();
        let is_silent = operation.answer == Answer::Nothing;
        let (params, args) = self.params(method, is_silent);
        let call = self.call(method, &args);
        let ttl = &self.args.ttl;
        let returns = &method.returns;
        let convert = |function: &str, more: TokenStream| {
            // Which of the two listings it is, is inferred from the operation.
            let of = (function == "listing").then(|| quote!(, _));
            let function = Ident::new(function, Span::mixed_site());
            let generics = method.generics(krate);
            let answer = method.result(answer, krate);
            quote! {
                #krate::__private::#function::<#generics #of>(#answer #more)
            }
        };
        let is_listing = matches!(operation.answer, Answer::Listing | Answer::ListingPlus);
        // What was kept of the directory's listing is needed no more.
        let released =
            (operation.method == "releasedir").then(|| quote!(#krate::__private::released(&#op);));
        let (before, convert) = match operation.answer {
            Answer::Nothing if returns.is_none() => return quote!(#params #call;),
            Answer::Nothing => {
                return quote! {
                    #params
                    #krate::__private::nothing::<#returns>(#call)
                };
            }
            Answer::Data if method.has(Source::Buffer) => (
                Some(quote!(let mut #buffer = #krate::lib_async::ReadBuffer::new(&#op);)),
                convert("filled", quote!(, #buffer)),
            ),
            Answer::Data if method.reads_everything() => {
                (None, convert("part", quote!(, #op.offset, #op.size)))
            }
            _ if is_listing && method.has(Source::Sink) => {
                let sink = Ident::new(sink_type(operation.answer), Span::mixed_site());
                let convert = convert("empty", quote!());
                return quote! {
                    let mut #listing = #krate::lib_async::#sink::new(&#op);
                    #params
                    let #answer = #call;
                    #convert?;
                    ::core::result::Result::Ok(#listing)
                };
            }
            // Who takes the operation as a whole may keep offsets of its own.
            Answer::Listing if method.has(Source::Op) => {
                (None, convert("page", quote!(, &#op, &#ttl)))
            }
            Answer::ListingPlus if method.has(Source::Op) => {
                (None, convert("page_plus", quote!(, &#op, &#ttl)))
            }
            _ if is_listing => {
                let resumed = quote! {
                    if let ::core::option::Option::Some(#listing) =
                        #krate::__private::resumed(&#op)
                    {
                        return ::core::result::Result::Ok(#listing);
                    }
                };
                (Some(resumed), convert("listing", quote!(, &#op, &#ttl)))
            }
            answer => {
                let more = if answer.has_ttl() { quote!(, &#ttl) } else { quote!() };
                (None, convert(answer.function(), more))
            }
        };
        quote!(#released #before #params let #answer = #call; #convert)
    }

    fn init(&self, method: &Method) -> TokenStream {
        let krate = &self.args.krate;
        let Names { this, req, config, answer, .. } = &Names::new();
        let cfgs = cfgs(method);
        let (params, args) = self.params(method, false);
        let call = self.call(method, &args);
        let generics = method.generics(krate);
        let result = method.result(answer, krate);
        let body = quote! {
            #params
            let #answer = #call;
            #krate::__private::init::<#generics>(#result)
        };
        let needs_req = method.has(Source::Field("req")) || method.has(Source::Request);
        let req = if needs_req { quote!(#req) } else { quote!(_) };
        let needs_config = method.has(Source::Field("config"));
        let config = if needs_config { quote!(#config) } else { quote!(_) };
        let head = quote_spanned! {mixed(method.name.span())=>
            async fn init(
                &mut #this,
                #req: &#krate::Request,
                #config: &mut #krate::KernelConfig,
            ) -> ::std::io::Result<()>
        };
        quote!(#(#cfgs)* #head { #body })
    }

    fn destroy(&self, method: &Method) -> TokenStream {
        let Names { this, .. } = &Names::new();
        let cfgs = cfgs(method);
        let body = self.body(method, method.operation);
        let head = quote_spanned!(mixed(method.name.span())=> async fn destroy(&mut #this));
        quote!(#(#cfgs)* #head { #body })
    }

    /// The method that serves `readdirplus` where there is none of that name.
    fn listed(&self) -> Option<&Method> {
        let of = |answer| {
            move |method: &&Method| method.operation.answer == answer && method.operation.is_asked()
        };
        if self.methods.iter().any(|method| of(Answer::ListingPlus)(&method))
            || self.block.functions.iter().any(|function| function.sig.ident == "readdirplus")
        {
            return None;
        }
        let mut all = self.methods.iter().filter(of(Answer::Listing));
        all.find(|method| !method.has(Source::Sink) && !method.has(Source::Op))
    }

    fn readdirplus(&self) -> Option<TokenStream> {
        let operation = Operation::named("readdirplus")?;
        self.listed().map(|readdir| self.asked(readdir, operation))
    }

    /// Bindings of the parameters, and the arguments of the call.
    fn params(&self, method: &Method, is_silent: bool) -> (TokenStream, TokenStream) {
        let mut bindings = TokenStream::new();
        let mut args = TokenStream::new();
        for param in &method.params {
            let value = self.converted(method, param);
            if matches!(param.source, Source::Buffer | Source::Sink) {
                args.extend(quote!(, #value?));
                continue;
            }
            let local = Ident::new(&param.local(), mixed(param.name.span()));
            bindings.extend(if is_silent {
                // Nobody waits for an answer that could be an error.
                quote! {
                    let ::core::result::Result::Ok(#local) = #value else { return };
                }
            } else {
                quote!(let #local = #value?;)
            });
            args.extend(quote!(, #local));
        }
        (bindings, args)
    }

    fn converted(&self, method: &Method, param: &Param) -> TokenStream {
        let krate = &self.args.krate;
        let Names { op, req, config, buffer, listing, .. } = &Names::new();
        let ty = &param.ty;
        let is_init = method.operation.method == "init";
        let (made, value) = match param.source {
            Source::Field("req") if is_init => ("Field", quote!(#req)),
            Source::Field("config") if is_init => ("Field", quote!(#config)),
            Source::Field(field) => {
                let field = Ident::new(field, param.name.span());
                ("Field", quote!(#op.#field))
            }
            Source::Op if matches!(ty, Type::Reference(_)) => ("Field", quote!(&#op)),
            Source::Op => ("Field", quote!(#op)),
            Source::Request if is_init => ("Whole", quote!(#req)),
            Source::Request => ("Whole", quote!(#op.req)),
            Source::Buffer => ("Field", quote!(&mut *#buffer)),
            Source::Sink => ("Field", quote!(&mut #listing)),
        };
        let made = Ident::new(made, Span::mixed_site());
        quote!(#krate::__private::#made(#value).to::<#ty>())
    }

    fn call(&self, method: &Method, args: &TokenStream) -> TokenStream {
        let Names { this, .. } = &Names::new();
        let name = &method.name;
        let span = mixed(name.span());
        let wait = method.is_async.then(|| quote_spanned!(span=> .await));
        quote_spanned!(span=> Self::#name(#this #args) #wait)
    }
}

/// The names that generated code binds: seen by nothing that a user writes.
struct Names {
    this: TokenStream,
    op: Ident,
    req: Ident,
    config: Ident,
    buffer: Ident,
    listing: Ident,
    answer: Ident,
}

impl Names {
    fn new() -> Self {
        let name = |name| Ident::new(name, Span::mixed_site());
        let this = quote_spanned!(Span::mixed_site()=> self);
        Self {
            this,
            op: name("op"),
            req: name("req"),
            config: name("config"),
            buffer: name("buffer"),
            listing: name("listing"),
            answer: name("answer"),
        }
    }
}

impl Method {
    /// The types within the `Result` that it returns: what is wrong with one is said where that is
    /// written.
    fn generics(&self, krate: &TokenStream) -> TokenStream {
        let Some(returns) = &self.returns else { return quote!(_, _) };
        if self.is_opaque {
            return quote!(_, _);
        }
        let whole = ends(returns);
        let (answer, error) = result_args(returns).unwrap_or_default();
        let answer = part_of(returns, krate, "Answer", answer.map_or(whole, ends));
        let error = part_of(returns, krate, "Error", error.map_or(whole, ends));
        quote!(#answer, #error)
    }

    /// What the method returned. What does not look like a `Result` may still be one under another
    /// name.
    fn result(&self, answer: &Ident, krate: &TokenStream) -> TokenStream {
        match &self.returns {
            Some(returns) if !self.is_opaque && result_args(returns).is_none() => {
                let generics = self.generics(krate);
                quote!(#krate::__private::result::<#generics, _>(#answer))
            }
            _ => quote!(#answer),
        }
    }

    /// Whether the call or the answer is made with anything of the operation's.
    fn needs_op(&self) -> bool {
        let by_answer = match self.operation.answer {
            Answer::Listing | Answer::ListingPlus => true,
            Answer::Data => self.reads_everything(),
            _ => false,
        };
        by_answer || !self.params.is_empty() || self.operation.method == "releasedir"
    }

    /// Whether it says nothing of which part of a file it reads, and so returns all of it.
    fn reads_everything(&self) -> bool {
        let sources = [Source::Field("offset"), Source::Field("size"), Source::Op, Source::Buffer];
        sources.into_iter().all(|source| !self.has(source))
    }
}

impl Param {
    fn local(&self) -> String {
        match self.source {
            Source::Field(field) => field.to_owned(),
            Source::Op => "whole".to_owned(),
            _ => {
                let name = self.name.to_string();
                name.trim_start_matches("r#").to_owned()
            }
        }
    }
}

/// What the trait's method returns.
fn returned(answer: Answer, krate: &TokenStream, span: Span) -> TokenStream {
    let name = match answer {
        Answer::Nothing => return quote!(),
        Answer::Empty | Answer::Init => {
            return quote_spanned!(span=> -> #krate::lib_async::Result<()>);
        }
        Answer::Target | Answer::Data => "Data",
        Answer::Value | Answer::Names => "Xattr",
        Answer::Lookup | Answer::Entry => "Entry",
        Answer::Attr => "Attr",
        Answer::Statx => "Statx",
        Answer::Opened => "Opened",
        Answer::Created => "Created",
        Answer::Written => "Written",
        Answer::Listing | Answer::ListingPlus => sink_type(answer),
        Answer::Statfs => "Statfs",
        Answer::Lock => "Lock",
        Answer::Block => "Block",
        Answer::Ioctl => "Ioctl",
        Answer::Poll => "Poll",
        Answer::Offset => "Offset",
        Answer::XTimes => "XTimes",
    };
    let borrows = matches!(name, "Data" | "Xattr" | "Ioctl").then(|| quote!(<'_>));
    let name = Ident::new(name, span);
    quote_spanned!(span=> -> #krate::lib_async::Result<#krate::lib_async::#name #borrows>)
}

fn sink_type(answer: Answer) -> &'static str {
    if answer == Answer::Listing { "Listing" } else { "ListingPlus" }
}

/// What decides whether a method is there: its attributes, and the system.
fn cfgs(method: &Method) -> Vec<Attribute> {
    let mut cfgs = method.cfgs.clone();
    if method.operation.is_macos() {
        cfgs.push(parse_quote!(#[cfg(target_os = "macos")]));
    }
    cfgs
}

/// One of the types in a result, named as at a place in the user's code.
fn part_of(
    returns: &Type,
    krate: &TokenStream,
    part: &str,
    (start, end): (Span, Span),
) -> TokenStream {
    let open = quote_spanned!(start=> <);
    let part = Ident::new(part, end);
    quote!(#open #returns as #krate::convert::Outcome>::#part)
}

/// What is written within `Result<...>`.
fn result_args(ty: &Type) -> Option<(Option<&Type>, Option<&Type>)> {
    let Type::Path(TypePath { path, .. }) = ty else { return None };
    let last = path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    let mut types = arguments.args.iter().map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    let parts = (types.next().flatten(), types.next().flatten());
    (last.ident == "Result").then_some(parts)
}

/// Where tokens begin and end.
fn ends(tokens: impl ToTokens) -> (Span, Span) {
    let mut spans = tokens.into_token_stream().into_iter().map(|token| token.span());
    let first = spans.next().unwrap_or_else(Span::mixed_site);
    (mixed(first), mixed(spans.last().unwrap_or(first)))
}

/// A place in the user's code, for names that are ours.
fn mixed(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}
