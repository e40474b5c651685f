//! A struct around one value, like `struct MovieId(u64);`: a value of the dataset that is the inner one's.
//!
//! Readers get the inner value, structs have the newtype. It can be what the inner value can be: a key, an element, the key
//! of a map.

use proc_macro2::TokenStream;
use syn::{DeriveInput, Field, Type};

use crate::attributes::TypeAttributes;
use crate::hygiene::generate;
use crate::types::{generic, is_float, is_named, plain};

pub(crate) fn expand(input: &DeriveInput, field: &Field, home: &TokenStream) -> syn::Result<TokenStream> {
    let attributes = TypeAttributes::parse(&input.attrs)?;
    let owner = &input.ident;
    if attributes.key.is_some() || attributes.name.is_some() {
        let message = format!(
            "{owner} holds one value and is no type of the dataset; key and name are for structs with named fields"
        );
        return Err(syn::Error::new_spanned(owner, message));
    }
    let inner = plain(&field.ty, owner);
    let is = |names: &[&str]| names.iter().any(|name| is_named(&inner, name));
    let is_bytes = matches!(generic(&inner), Some(("Vec", of)) if of.first().is_some_and(|of| is_named(of, "u8")));
    let is_map_key = is(&["bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "String"]);
    if !is_map_key && !is_bytes && !is_float(&inner) {
        let message = format!(
            "{owner}: a struct without field names holds bool, i8 to i64, u8 to u64, f32, f64, String or Vec<u8>; write #[record(with = Adapter)] on the fields that hold it"
        );
        return Err(syn::Error::new_spanned(&field.ty, message));
    }
    let krate = attributes.krate(home);
    let value = value(owner, &inner, &krate);
    let key = (is_map_key || is_bytes).then(|| key(owner, &inner, &krate));
    let element = (!is(&["u8"])).then(|| generate!(impl #krate::__derive::Element for #owner {}));
    let map_key = is_map_key.then(|| generate!(impl #krate::__derive::MapKey for #owner {}));
    Ok(generate! {
        const _: () = {
            #value
            #key
            #element
            #map_key
        };
    })
}

fn value(owner: &syn::Ident, inner: &Type, krate: &TokenStream) -> TokenStream {
    let of_inner = generate!(<#inner as #krate::__derive::Value>);
    generate! {
        #[automatically_derived]
        impl #krate::__derive::Sealed for #owner {}
        #[automatically_derived]
        impl #krate::__derive::Value for #owner {
            type Owned = #owner;
            type Ref<'v> = #of_inner::Ref<'v>;
            const VARIABLE: bool = #of_inner::VARIABLE;
            const ORDER: #krate::__derive::Order = #of_inner::ORDER;
            const HAS_DEFAULT: bool = #of_inner::HAS_DEFAULT;

            fn declare(field: &mut #krate::__derive::FieldDeclaration<'_>) -> #krate::__derive::ValueKind {
                #of_inner::declare(field)
            }
            fn write(
                value: &#owner,
                binding: &#krate::__derive::ValueBinding,
                out: &mut ::std::vec::Vec<u8>,
                context: &mut #krate::__derive::WriteContext<'_>,
            ) -> ::core::result::Result<(), #krate::__derive::WriteError> {
                #of_inner::write(&value.0, binding, out, context)
            }
            #[inline(always)]
            fn read<'v, __Source: #krate::__derive::Source<'v>>(
                source: __Source,
                binding: &'v #krate::__derive::ValueBinding,
                scope: #krate::__derive::Scope<'v>,
            ) -> #of_inner::Ref<'v> {
                #of_inner::read(source, binding, scope)
            }
            #[inline]
            fn is_same<'v, __Source: #krate::__derive::Source<'v>>(
                value: &#owner,
                source: __Source,
                binding: &'v #krate::__derive::ValueBinding,
                scope: #krate::__derive::Scope<'v>,
            ) -> bool {
                #of_inner::is_same(&value.0, source, binding, scope)
            }
            fn absent<'v>() -> #of_inner::Ref<'v> {
                #of_inner::absent()
            }
            fn own(value: #of_inner::Ref<'_>) -> #owner {
                #owner(#of_inner::own(value))
            }
        }
        #krate::__one_value!([] #owner, #krate::__derive);
    }
}

/// What a value is that can be compared: the part of a key.
fn key(owner: &syn::Ident, inner: &Type, krate: &TokenStream) -> TokenStream {
    let of_inner = generate!(<#inner as #krate::__derive::KeyValue>);
    generate! {
        #[automatically_derived]
        impl #krate::__derive::Ordered for #owner {
            fn compare_at<'v, __Source: #krate::__derive::Source<'v>>(
                source: __Source,
                wanted: <#inner as #krate::__derive::Value>::Ref<'_>,
                binding: &#krate::__derive::ValueBinding,
            ) -> ::core::cmp::Ordering {
                <#inner as #krate::__derive::Ordered>::compare_at(source, wanted, binding)
            }
        }
        #[automatically_derived]
        impl #krate::__derive::KeyValue for #owner {
            type Borrowed<'a> = #of_inner::Borrowed<'a>;
            const SHAPE: #krate::__derive::KeyShape = #of_inner::SHAPE;

            #[inline]
            fn borrow(&self) -> #of_inner::Borrowed<'_> {
                #of_inner::borrow(&self.0)
            }
            #[inline(always)]
            fn with<__Found>(
                key: #of_inner::Borrowed<'_>,
                look: impl ::core::ops::FnOnce(#krate::__derive::KeyRef<'_>) -> __Found,
            ) -> __Found {
                #of_inner::with(key, look)
            }
            fn write_part(key: #of_inner::Borrowed<'_>, out: &mut ::std::vec::Vec<u8>) {
                #of_inner::write_part(key, out);
            }
            fn read_part<'a>(bytes: &mut &'a [u8]) -> ::core::option::Option<#of_inner::Borrowed<'a>> {
                #of_inner::read_part(bytes)
            }
            fn read(key: #krate::__derive::KeyRef<'_>) -> ::core::option::Option<#of_inner::Borrowed<'_>> {
                #of_inner::read(key)
            }
        }
    }
}
