//! The block, read. Bodies stay the groups of tokens they are: whatever is wrong inside one is
//! between its author and the compiler.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, Error, Generics, Path, Result, Signature, Token, Type, Visibility, WhereClause,
    braced, token,
};

use crate::errors::Errors;

/// An `impl` block.
pub(crate) struct Block {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) generics: Generics,
    /// Of a trait, it should not be.
    pub(crate) of_trait: Option<Path>,
    pub(crate) this: Type,
    pub(crate) functions: Vec<Function>,
    /// What is wrong with its items as such.
    pub(crate) errors: Errors,
}

/// A function of the block.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) sig: Signature,
}

impl Parse for Block {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        input.parse::<Option<Token![unsafe]>>()?;
        if !input.peek(Token![impl]) {
            return Err(input.error("`#[fuse_filesystem]` goes on an `impl` block"));
        }
        input.parse::<Token![impl]>()?;
        let mut generics =
            if starts_generics(input) { input.parse()? } else { Generics::default() };
        input.parse::<Option<Token![!]>>()?;
        let mut this: Type = input.parse()?;
        let mut of_trait = None;
        if input.peek(Token![for]) {
            input.parse::<Token![for]>()?;
            of_trait = match this {
                Type::Path(path) if path.qself.is_none() => Some(path.path),
                other => return Err(Error::new_spanned(other, "expected a trait")),
            };
            this = input.parse()?;
        }
        generics.where_clause = input.parse::<Option<WhereClause>>()?;
        let content;
        braced!(content in input);
        content.call(Attribute::parse_inner)?;
        let mut block = Self {
            attrs,
            generics,
            of_trait,
            this,
            functions: Vec::new(),
            errors: Errors::default(),
        };
        while !content.is_empty() {
            block.item(&content)?;
        }
        Ok(block)
    }
}

impl Block {
    /// Reads one item. One that cannot be read is an error, and the next is read all the same.
    fn item(&mut self, input: ParseStream<'_>) -> Result<()> {
        let ahead = input.fork();
        match ahead.call(item) {
            Ok(Item::Function(function)) => {
                self.functions.push(*function);
                item(input)?;
            }
            Ok(Item::Other) => drop(item(input)?),
            Ok(Item::Macro(path)) => {
                self.errors.at(path, MACRO);
                item(input)?;
            }
            Err(error) => {
                self.errors.add(error);
                skip(input)?;
            }
        }
        Ok(())
    }
}

const MACRO: &str = "a macro in a `#[fuse_filesystem]` block is expanded after the attribute, \
                     which so does not see its methods\nhelp: write the methods out, or move the \
                     macro into another `impl` block";

enum Item {
    Function(Box<Function>),
    Macro(Path),
    /// A constant or a type: the compiler judges it.
    Other,
}

fn item(input: ParseStream<'_>) -> Result<Item> {
    let attrs = input.call(Attribute::parse_outer)?;
    input.parse::<Visibility>()?;
    if input.peek(Token![type]) || input.peek(Token![const]) && !starts_function(input) {
        while !input.peek(Token![;]) {
            input.parse::<TokenTree>()?;
        }
        input.parse::<Token![;]>()?;
        return Ok(Item::Other);
    }
    if !starts_function(input) {
        let path = input.call(Path::parse_mod_style)?;
        input.parse::<Token![!]>()?;
        // `macro_rules! name { ... }`
        input.parse::<Option<syn::Ident>>()?;
        let TokenTree::Group(group) = input.parse()? else {
            return Err(input.error("expected the arguments of a macro"));
        };
        if group.delimiter() != Delimiter::Brace {
            input.parse::<Option<Token![;]>>()?;
        }
        // The compiler refuses a definition here.
        return Ok(if path.is_ident("macro_rules") { Item::Other } else { Item::Macro(path) });
    }
    let sig: Signature = input.parse()?;
    if input.peek(token::Brace) {
        input.parse::<Group>()?;
    } else {
        // The compiler says that the body is missing.
        input.parse::<Token![;]>()?;
    }
    Ok(Item::Function(Box::new(Function { attrs, sig })))
}

/// Whether a function begins here, behind its visibility.
fn starts_function(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    loop {
        if ahead.peek(Token![fn]) {
            return true;
        }
        let is_qualifier = ahead.peek(Token![const])
            || ahead.peek(Token![async])
            || ahead.peek(Token![unsafe])
            || ahead.peek(Token![extern])
            || ahead.peek(syn::LitStr);
        if !is_qualifier || ahead.parse::<TokenTree>().is_err() {
            return false;
        }
    }
}

/// Whether what follows `impl` are its generics, and not a type such as `<T as Trait>::Type`.
fn starts_generics(input: ParseStream<'_>) -> bool {
    input.peek(Token![<])
        && (input.peek2(Token![>])
            || input.peek2(Token![#])
            || input.peek2(Token![const])
            || (input.peek2(syn::Ident) || input.peek2(syn::Lifetime))
                && (input.peek3(Token![:])
                    || input.peek3(Token![,])
                    || input.peek3(Token![>])
                    || input.peek3(Token![=])))
}

/// Goes on behind the next body or semicolon.
fn skip(input: ParseStream<'_>) -> Result<()> {
    while !input.is_empty() {
        match input.parse()? {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
            TokenTree::Punct(punct) if punct.as_char() == ';' => break,
            _ => {}
        }
    }
    Ok(())
}

/// The block as it was written, but for the helper attributes.
pub(crate) fn without_helpers(block: TokenStream) -> TokenStream {
    let mut tokens: Vec<_> = block.into_iter().collect();
    // Attributes are in front; the items are in what comes last.
    if let Some(TokenTree::Group(items)) = tokens.last_mut() {
        *items = rebuilt(items, strip(items.stream()));
    }
    tokens.into_iter().collect()
}

/// Takes helpers off items, and off the parameters within their parentheses.
fn strip(tokens: TokenStream) -> TokenStream {
    let mut stripped = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(hash) if hash.as_char() == '#' => match tokens.next_if(is_helper) {
                Some(_) => {}
                None => stripped.push(TokenTree::Punct(hash)),
            },
            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {
                stripped.push(rebuilt(&group, strip(group.stream())).into());
            }
            other => stripped.push(other),
        }
    }
    stripped.into_iter().collect()
}

/// Whether this is `[fuse]` or `[fuse(...)]`.
fn is_helper(token: &TokenTree) -> bool {
    let TokenTree::Group(group) = token else { return false };
    let mut inside = group.stream().into_iter();
    let name = inside.next();
    group.delimiter() == Delimiter::Bracket
        && matches!(name, Some(TokenTree::Ident(name)) if name == "fuse")
        && !matches!(inside.next(), Some(TokenTree::Punct(punct)) if punct.as_char() == ':')
}

fn rebuilt(group: &Group, stream: TokenStream) -> Group {
    let mut rebuilt = Group::new(group.delimiter(), stream);
    rebuilt.set_span(group.span());
    rebuilt
}
