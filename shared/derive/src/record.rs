//! A struct: `Record`, `Root` or `Component`, and the reader.

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::{DataStruct, DeriveInput};

use crate::attributes::{KeyPath, TypeAttributes};
use crate::fields::{self, Parsed, name_hash, optional_text};
use crate::hygiene::{generate, generate_at};
use crate::newtype;

pub(crate) fn expand(input: &DeriveInput, data: &DataStruct, home: &TokenStream) -> syn::Result<TokenStream> {
    if let syn::Fields::Unnamed(fields) = &data.fields
        && fields.unnamed.len() == 1
    {
        return newtype::expand(input, &fields.unnamed[0], home);
    }
    let attributes = TypeAttributes::parse(&input.attrs)?;
    let krate = attributes.krate(home);
    let (fields, skipped) = fields::parse(&input.ident, attributes.key.is_some(), data, &krate)?;
    let record = record(input, &attributes, (&fields, &skipped), &krate);
    let role = if let Some(key) = &attributes.key {
        root(input, key, &fields, &krate)?
    } else {
        let owner = &input.ident;
        generate!(impl #krate::__derive::Component for #owner {})
    };
    let named = fields.iter().map(|field| named(input, field, &krate));
    let checks = fields.iter().filter(|field| field.attributes.default).map(|field| default_check(field, &krate));
    let reader = reader(input, &fields, &krate);
    Ok(generate! {
        #reader
        const _: () = {
            #record
            #role
            #(#named)*
            #(#checks)*
        };
    })
}

fn record(
    input: &DeriveInput,
    attributes: &TypeAttributes,
    (fields, skipped): (&[Parsed], &[syn::Ident]),
    krate: &TokenStream,
) -> TokenStream {
    let owner = &input.ident;
    let reader = fields::reader(owner);
    let name = attributes.name.as_ref().map_or_else(|| owner.unraw().to_string(), syn::LitStr::value);
    let key = attributes.key.iter().flatten().map(|path| {
        let parts = &path.parts;
        generate!(&[#(#parts),*])
    });
    let declares = fields.iter().map(|field| {
        let (name, default) = (&field.name, field.attributes.default);
        let was = optional_text(field.attributes.was.as_ref());
        let ty = &field.field_type;
        // A type that can't be a field is shown where the user wrote it.
        generate_at!(&field.written=> declaration.field::<#ty>(#name, #default, #was);)
    });
    let writes = fields.iter().enumerate().map(|(index, field)| {
        let (ty, ident) = (&field.field_type, &field.ident);
        generate_at!(&field.written=> writer.field::<#ty>(#index, &self.#ident)?;)
    });
    let sames = fields.iter().enumerate().map(|(index, field)| {
        let (ty, ident) = (&field.field_type, &field.ident);
        generate_at!(&field.written=> at.holds::<#ty>(#index, &self.#ident))
    });
    let owns = fields.iter().enumerate().map(|(index, field)| {
        let (ty, ident) = (&field.field_type, &field.ident);
        generate_at!(&field.written=> #ident: at.own::<#ty>(#index))
    });
    let skips = skipped.iter().map(|ident| generate!(#ident: ::core::default::Default::default()));
    generate! {
        #[automatically_derived]
        impl #krate::__derive::Sealed for #owner {}
        #[automatically_derived]
        impl #krate::__derive::Record for #owner {
            const NAME: &'static str = #name;
            const KEY: &'static [&'static [&'static str]] = &[#(#key),*];
            type Ref<'v> = #reader<'v>;

            #[inline]
            fn slot() -> &'static #krate::__derive::Slot {
                static SLOT: #krate::__derive::Slot = #krate::__derive::Slot::new();
                &SLOT
            }
            fn declare(declaration: &mut #krate::__derive::TypeDeclaration<'_>) {
                #(#declares)*
            }
            fn write(
                &self,
                writer: &mut #krate::__derive::RecordWriter<'_, '_>,
            ) -> ::core::result::Result<(), #krate::__derive::WriteError> {
                #(#writes)*
                ::core::result::Result::Ok(())
            }
            fn is_same(&self, at: #krate::__derive::RecordAt<'_>) -> bool {
                at.is_whole() #(&& #sames)*
            }
            #[inline(always)]
            fn view<'v>(at: #krate::__derive::RecordAt<'v>) -> Self::Ref<'v> {
                #reader { at }
            }
            #[inline(always)]
            fn at<'v>(reader: Self::Ref<'v>) -> #krate::__derive::RecordAt<'v> {
                reader.at
            }
            fn own(at: #krate::__derive::RecordAt<'_>) -> Self {
                #owner { #(#owns,)* #(#skips,)* }
            }
        }
    }
}

fn root(input: &DeriveInput, key: &[KeyPath], fields: &[Parsed], krate: &TokenStream) -> syn::Result<TokenStream> {
    let owner = &input.ident;
    let parts = key.iter().map(|path| key_part(owner, path, fields, krate)).collect::<syn::Result<Vec<_>>>()?;
    let lends = parts.iter().map(|(ty, value)| generate!(<#ty as #krate::__derive::KeyValue>::borrow(#value)));
    let types = parts.iter().map(|(ty, _)| ty);
    let (key, lend) = match parts.as_slice() {
        [(ty, _)] => (generate!(#ty), generate!(#(#lends)*)),
        _ => (generate!((#(#types),*)), generate!((#(#lends),*))),
    };
    Ok(generate! {
        #[automatically_derived]
        impl #krate::__derive::Root for #owner {
            type Key = #key;

            fn key(&self) -> <Self::Key as #krate::__derive::KeyValue>::Borrowed<'_> {
                #lend
            }
        }
    })
}

/// A part's type, and a borrow of its value.
fn key_part(
    owner: &syn::Ident,
    path: &KeyPath,
    fields: &[Parsed],
    krate: &TokenStream,
) -> syn::Result<(TokenStream, TokenStream)> {
    let shown = &path.literal;
    let first = &path.parts[0];
    let Some(field) = fields.iter().find(|field| field.name == *first) else {
        let known = fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
        let message = format!("key: {owner} has no field {first}; its fields are {known}");
        return Err(syn::Error::new_spanned(shown, message));
    };
    if field.attributes.packed {
        let message = format!("key: field {first} is packed; a key is read at every look-up, so leave it plain");
        return Err(syn::Error::new_spanned(shown, message));
    }
    if field.attributes.with.is_some() {
        let message = format!(
            "key: field {first} has an adapter, and a key is borrowed; make its type a newtype with #[derive(Record)], like struct MovieId(u64)"
        );
        return Err(syn::Error::new_spanned(shown, message));
    }
    if let syn::Type::Path(ty) = &field.written
        && let Some(last) = ty.path.segments.last()
    {
        let found = last.ident.to_string();
        if found == "Option" {
            let message = format!("key: field {first} is an Option; a key must always be there, so write it without");
            return Err(syn::Error::new_spanned(shown, message));
        }
        if ["f32", "f64"].contains(&found.as_str()) {
            let message = format!(
                "key: field {first} is a float, which can't identify; use integers, bool, String, bytes, enums or Key"
            );
            return Err(syn::Error::new_spanned(shown, message));
        }
    }
    let (ident, written) = (&field.ident, &field.written);
    let mut ty = generate_at!(shown=> #written);
    let mut value = generate!(&self.#ident);
    for part in &path.parts[1..] {
        let hash = name_hash(part);
        value = generate_at!(shown=> <#ty as #krate::__derive::Named<#hash>>::get(#value));
        ty = generate_at!(shown=> <#ty as #krate::__derive::Named<#hash>>::Of);
    }
    Ok((ty, value))
}

/// Lets keys of roots lead to this field.
fn named(input: &DeriveInput, field: &Parsed, krate: &TokenStream) -> TokenStream {
    let (owner, ident, ty) = (&input.ident, &field.ident, &field.written);
    let hash = name_hash(&field.name);
    if field.attributes.packed {
        // A type that is no key, so that the trait says why.
        return generate! {
            #[automatically_derived]
            impl #krate::__derive::Named<#hash> for #owner {
                type Of = #krate::__derive::Packed;
                fn get(&self) -> &Self::Of {
                    ::core::unreachable!("packed text is no key")
                }
            }
        };
    }
    generate! {
        #[automatically_derived]
        impl #krate::__derive::Named<#hash> for #owner {
            type Of = #ty;
            #[inline(always)]
            fn get(&self) -> &#ty {
                &self.#ident
            }
        }
    }
}

fn default_check(field: &Parsed, krate: &TokenStream) -> TokenStream {
    let ty = &field.field_type;
    let message = format!(
        "field {}: its type has no default; write Option, or mark a variant of the enum with #[default]",
        field.ident.unraw()
    );
    generate_at!(&field.written=> const _: () = ::core::assert!(<#ty as #krate::__derive::Field>::HAS_DEFAULT, #message);)
}

fn reader(input: &DeriveInput, fields: &[Parsed], krate: &TokenStream) -> TokenStream {
    let (owner, visibility) = (&input.ident, &input.vis);
    let reader = fields::reader(owner);
    let doc = format!("A [`{owner}`] that is read in place, without a copy. Made by `#[derive(Record)]`.");
    let methods = fields.iter().enumerate().map(|(index, field)| method(index, field, krate));
    let idents: Vec<_> = fields.iter().map(|field| &field.ident).collect();
    let names = fields.iter().map(|field| field.ident.unraw().to_string());
    let label = owner.unraw().to_string();
    // A field's method is named by its type: `self.fmt()` would be the trait's.
    generate! {
        #[doc = #doc]
        #[derive(::core::clone::Clone, ::core::marker::Copy)]
        #visibility struct #reader<'v> {
            at: #krate::__derive::RecordAt<'v>,
        }

        #[automatically_derived]
        #[allow(dead_code, reason = "a program need not read every field")]
        impl<'v> #reader<'v> {
            #(#methods)*

            /// The record's number in its type; stable while the record lives.
            #[inline]
            #[must_use]
            #visibility fn ordinal(self) -> #krate::__derive::Ordinal {
                self.at.ordinal()
            }

            /// Copies the record into a struct.
            #[must_use]
            #visibility fn to_owned(self) -> #owner {
                <#owner as #krate::__derive::Record>::own(self.at)
            }
        }

        #[automatically_derived]
        impl ::core::cmp::PartialEq for #reader<'_> {
            fn eq(&self, other: &Self) -> bool {
                true #(&& Self::#idents(*self) == Self::#idents(*other))*
            }
        }

        #[automatically_derived]
        impl #krate::__derive::Serialize for #reader<'_> {
            fn serialize<__Serializer: #krate::__derive::Serializer>(
                &self,
                serializer: __Serializer,
            ) -> ::core::result::Result<
                <__Serializer as #krate::__derive::Serializer>::Ok,
                <__Serializer as #krate::__derive::Serializer>::Error,
            > {
                #krate::__derive::Serialize::serialize(&self.at, serializer)
            }
        }

        #[automatically_derived]
        impl ::core::fmt::Debug for #reader<'_> {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(#label)#(.field(#names, &Self::#idents(*self)))*.finish()
            }
        }
    }
}

fn method(index: usize, field: &Parsed, krate: &TokenStream) -> TokenStream {
    let Parsed { ident, visibility, field_type, docs, .. } = field;
    let fallback = docs.is_empty().then(|| {
        let doc = format!("The field `{}`.", ident.unraw());
        generate!(#[doc = #doc])
    });
    // What is wrong with the field's type is shown where the user wrote it.
    let body = generate_at!(&field.written=> self.at.field::<#field_type>(#index));
    let result = generate_at!(&field.written=> <#field_type as #krate::__derive::Field>::Ref<'v>);
    generate! {
        #(#docs)*
        #fallback
        #[inline(always)]
        #[must_use]
        #visibility fn #ident(self) -> #result {
            #body
        }
    }
}
