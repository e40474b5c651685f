//! `#[derive(Record)]`: a struct's schema, its writer, and a zero-copy reader.
//!
//! The generated code lists fields; the traits of `cenote_state::record` do the work. What a type can't be is said
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
use proc_macro2::Span;
use quote::quote;
use syn::{Data, DeriveInput, Ident, parse_macro_input};

/// Makes a struct a record of a dataset, or a fieldless enum a value of one.
///
/// For a struct `Movie` it makes the reader `MovieRef<'view>`, with a method per field, `ordinal()` and `to_owned()`.
#[proc_macro_derive(Record, attributes(record))]
pub fn derive_record(input: TokenStream) -> TokenStream {
    derive(input, "cenote_state")
}

/// `Record` as `cenote_producer` has it, for who depends on nothing else of Cenote's.
#[doc(hidden)]
#[proc_macro_derive(RecordOfProducer, attributes(record))]
pub fn derive_record_of_producer(input: TokenStream) -> TokenStream {
    derive(input, "cenote_producer")
}

/// `Record` as `cenote_consumer` has it, for who depends on nothing else of Cenote's.
#[doc(hidden)]
#[proc_macro_derive(RecordOfConsumer, attributes(record))]
pub fn derive_record_of_consumer(input: TokenStream) -> TokenStream {
    derive(input, "cenote_consumer")
}

/// The generated code finds Cenote in the crate that the macro was taken from: there is no other way to know which of
/// them the user depends on, short of reading the user's `Cargo.toml`.
fn derive(input: TokenStream, home: &str) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let home = Ident::new(home, Span::call_site());
    expand(&input, &quote!(::#home)).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn expand(input: &DeriveInput, home: &proc_macro2::TokenStream) -> syn::Result<proc_macro2::TokenStream> {
    if let Some(parameter) = input.generics.params.first() {
        return Err(syn::Error::new_spanned(
            parameter,
            format!("record {} can't have parameters: a dataset's types are plain; write the types out", input.ident),
        ));
    }
    match &input.data {
        Data::Struct(data) => record::expand(input, data, home),
        Data::Enum(data) => variants::expand(input, data, home),
        Data::Union(data) => Err(syn::Error::new_spanned(
            data.union_token,
            format!("a union can't be a record; make {} a struct with named fields", input.ident),
        )),
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;
    use syn::parse_quote;

    /// Who takes the macro from `cenote_consumer` may not depend on `cenote_state` at all.
    #[test]
    fn generated_code_names_the_crate_that_it_was_taken_from_and_no_other() {
        let of_every_kind = [
            parse_quote! {
                #[record(key = ["id", "place.zip"])]
                struct Movie {
                    id: u64,
                    place: Place,
                    #[record(dedup)]
                    country: Option<String>,
                    #[record(packed, default)]
                    plot: String,
                    cast: std::collections::BTreeMap<String, Actor>,
                }
            },
            parse_quote! { struct Actor { name: String } },
            parse_quote! { enum Mood { Calm, #[record(other)] Wild } },
        ];
        for input in of_every_kind {
            let code = super::expand(&input, &quote!(::elsewhere)).expect("it is sound").to_string();
            assert!(code.contains(":: elsewhere ::") && !code.contains("cenote"), "{code}");
        }
        let input = parse_quote! { #[record(crate = my::own)] struct Actor { name: String } };
        let code = super::expand(&input, &quote!(::elsewhere)).expect("it is sound").to_string();
        assert!(code.contains("my :: own ::") && !code.contains("elsewhere"), "{code}");
    }
}
