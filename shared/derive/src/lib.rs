//! `#[derive(Record)]`: a struct's schema, its writer, and a zero-copy reader.
//!
//! The generated code lists fields; the traits of `cenote_state::record` do the work. If the tokens show a mistake, the
//! derive reports it, with the field's name and what to write instead. Other mistakes are reported by the traits.
//!
//! On a struct: `#[record(key = "id")]`, `key = "a, b.c"` or `key = ["a", "b.c"]`; `name = "…"`; `crate = path`.
//! On a field: `name = "…"`, `was = "…"`, `default`, `dedup`, `packed`, `skip`, `with = Adapter`. On a variant: `name = "…"`, `other`; and std's
//! `#[default]`.
//!
//! Rules: the derive reads no attribute but `record`, `doc` and `default`; the generated code names nothing that a user
//! can shadow (std's items have whole paths), and its locals are hygienic (see `hygiene`).

mod attributes;
mod fields;
mod home;
mod hygiene;
mod newtype;
mod record;
mod types;
mod variants;

use proc_macro::TokenStream;
use syn::{Data, DeriveInput, GenericParam, parse_macro_input};

/// Makes a struct a record of a dataset, or a fieldless enum or a struct around one value a value of one.
///
/// For a struct `Movie` it makes the reader `MovieRef<'view>`, with a method for each field, `ordinal()` and `to_owned()`; it implements
/// `Debug`, `PartialEq` and serde's `Serialize`.
#[proc_macro_derive(Record, attributes(record))]
pub fn derive_record(input: TokenStream) -> TokenStream {
    derive(input, "cenote-state")
}

/// The derive that `cenote_producer` exports as `Record`.
#[doc(hidden)]
#[proc_macro_derive(RecordOfProducer, attributes(record))]
pub fn derive_record_of_producer(input: TokenStream) -> TokenStream {
    derive(input, "cenote-producer")
}

/// The derive that `cenote_consumer` exports as `Record`.
#[doc(hidden)]
#[proc_macro_derive(RecordOfConsumer, attributes(record))]
pub fn derive_record_of_consumer(input: TokenStream) -> TokenStream {
    derive(input, "cenote-consumer")
}

fn derive(input: TokenStream, library: &str) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input, &home::home(library)).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn expand(input: &DeriveInput, home: &proc_macro2::TokenStream) -> syn::Result<proc_macro2::TokenStream> {
    refuse_parameters(input)?;
    match &input.data {
        Data::Struct(data) => record::expand(input, data, home),
        Data::Enum(data) => variants::expand(input, data, home),
        Data::Union(data) => Err(syn::Error::new_spanned(
            data.union_token,
            format!("a union can't be a record; make {} a struct with named fields", input.ident),
        )),
    }
}

fn refuse_parameters(input: &DeriveInput) -> syn::Result<()> {
    let owner = &input.ident;
    if let Some(parameter) = input.generics.params.first() {
        let remedy = match parameter {
            GenericParam::Lifetime(_) => "it owns what it holds; write String for &str, Vec for a slice",
            GenericParam::Type(_) | GenericParam::Const(_) => "a dataset's types are plain; write the types out",
        };
        return Err(syn::Error::new_spanned(parameter, format!("record {owner} can't have parameters: {remedy}")));
    }
    match &input.generics.where_clause {
        Some(clause) => Err(syn::Error::new_spanned(
            clause,
            format!("record {owner} can't have a where clause: a dataset's types are plain"),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;
    use syn::parse_quote;

    /// A crate that takes the macro from `cenote_consumer` may not depend on `cenote_state` at all.
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
            parse_quote! { struct Zip(String); },
            parse_quote! { struct Timed { #[record(skip)] cache: Cache, #[record(with = Millis)] at: SystemTime } },
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
