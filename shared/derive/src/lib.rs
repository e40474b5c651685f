//! `#[derive(Record)]`: a struct's schema, its writer, and a zero-copy reader.
//!
//! The generated code lists fields; the traits of `cenote_shared::record` do the work. What a type can't be is said
//! here where it can be seen in the tokens (with the field's name, and what to write instead), else by the traits.
//!
//! On a struct: `#[record(key = "id")]`, `key = "a, b.c"` or `key = ["a", "b.c"]`; `name = "…"`; `crate = path`.
//! On a field: `name = "…"`, `was = "…"`, `default`, `dedup`, `packed`. On a variant: `name = "…"`, `other`; and std's
//! `#[default]`.

mod attributes;
mod fields;
mod record;
mod variants;

use proc_macro::TokenStream;
use syn::{Data, DeriveInput, parse_macro_input};

/// Makes a struct a record of a dataset, or a fieldless enum a value of one.
///
/// For a struct `Movie` it makes the reader `MovieRef<'view>`, with a method per field, `ordinal()` and `to_owned()`.
#[proc_macro_derive(Record, attributes(record))]
pub fn derive_record(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn expand(input: &DeriveInput) -> syn::Result<proc_macro2::TokenStream> {
    if let Some(parameter) = input.generics.params.first() {
        return Err(syn::Error::new_spanned(
            parameter,
            format!("record {} can't have parameters: a dataset's types are plain; write the types out", input.ident),
        ));
    }
    match &input.data {
        Data::Struct(data) => record::expand(input, data),
        Data::Enum(data) => variants::expand(input, data),
        Data::Union(data) => Err(syn::Error::new_spanned(
            data.union_token,
            format!("a union can't be a record; make {} a struct with named fields", input.ident),
        )),
    }
}
