//! Names of generated code that can't meet the user's.
//!
//! `quote!` resolves its tokens where the derive is written. If a `macro_rules!` of the user's writes the struct, a `self`
//! of that place and a `self` that carries the span of a field are two different names. So every token that this crate
//! writes is resolved at [`Span::mixed_site`]: locals are the derive's, types and methods are the user's. A span says
//! only where a mistake is shown.

use proc_macro2::Span;
use syn::spanned::Spanned;

/// `quote!`, resolved at the mixed site.
macro_rules! generate {
    ($($code:tt)*) => {
        ::quote::quote_spanned! { ::proc_macro2::Span::mixed_site()=> $($code)* }
    };
}

/// As [`generate!`]; mistakes in the code are shown at a token of the user's.
macro_rules! generate_at {
    ($shown:expr=> $($code:tt)*) => {
        ::quote::quote_spanned! { $crate::hygiene::shown_at($shown)=> $($code)* }
    };
}

pub(crate) use {generate, generate_at};

/// The place of `tokens`, with the names of the derive's code.
pub(crate) fn shown_at(tokens: &impl Spanned) -> Span {
    tokens.span().resolved_at(Span::mixed_site())
}
