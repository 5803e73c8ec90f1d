//! Which methods of the catalogue are done again when the database was away? All under `#[again]` that ask it.
//!
//! The retry itself is `Database::again` in the catalogue. Written out, it would stand around 160 bodies, and the next method
//! would be without it. No dependencies: the tokens of an `impl` are walked, and nothing is parsed.

use proc_macro::{Delimiter, Group, Ident, TokenStream, TokenTree};

/// Makes `async fn name(&self, ..) -> .. { body }`, for each body that names `self.database`, into
/// `{ self.database.again(|| async { body }).await }`. A body so borrows its arguments and consumes none.
#[proc_macro_attribute]
pub fn again(_nothing: TokenStream, block: TokenStream) -> TokenStream {
    let wrapped = block.into_iter().map(|token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => braced(methods(group.stream()), &group),
        other => other,
    });
    wrapped.collect()
}

/// The items of the block, with the bodies of asynchronous functions wrapped.
fn methods(items: TokenStream) -> TokenStream {
    let mut out = Vec::new();
    let mut is_async = false;
    for token in items {
        out.push(match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let asks = if is_async { asking(group.stream()) } else { None };
                is_async = false;
                match asks {
                    Some(receiver) => braced(wrap(receiver, group.clone()), &group),
                    None => TokenTree::Group(group),
                }
            }
            TokenTree::Ident(word) => {
                is_async |= word.to_string() == "async";
                TokenTree::Ident(word)
            }
            other => other,
        });
    }
    out.into_iter().collect()
}

/// The `self` of the first `self.database`.
fn asking(body: TokenStream) -> Option<Ident> {
    let tokens: Vec<TokenTree> = body.into_iter().collect();
    let here = tokens.windows(3).find_map(|three| match three {
        [TokenTree::Ident(receiver), TokenTree::Punct(dot), TokenTree::Ident(field)]
            if receiver.to_string() == "self" && dot.as_char() == '.' && field.to_string() == "database" =>
        {
            Some(receiver.clone())
        }
        _ => None,
    });
    here.or_else(|| {
        tokens.into_iter().find_map(|token| match token {
            TokenTree::Group(group) => asking(group.stream()),
            _ => None,
        })
    })
}

fn wrap(receiver: Ident, body: Group) -> TokenStream {
    let around = |text: &str| text.parse::<TokenStream>().unwrap_or_default();
    let mut closure = around("|| async");
    closure.extend([TokenTree::Group(body)]);
    let mut call = TokenStream::from(TokenTree::Ident(receiver));
    call.extend(around(".database.again"));
    call.extend([TokenTree::Group(Group::new(Delimiter::Parenthesis, closure))]);
    call.extend(around(".await"));
    call
}

fn braced(inside: TokenStream, like: &Group) -> TokenTree {
    let mut group = Group::new(Delimiter::Brace, inside);
    group.set_span(like.span());
    TokenTree::Group(group)
}
