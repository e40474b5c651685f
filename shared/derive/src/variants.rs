//! A fieldless enum: a value that the dataset keeps by number and a schema names.

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::{DataEnum, DeriveInput, Fields, Ident};

use crate::attributes::{TypeAttributes, VariantAttributes};
use crate::hygiene::generate;

pub(crate) fn expand(input: &DeriveInput, data: &DataEnum, home: &TokenStream) -> syn::Result<TokenStream> {
    let attributes = TypeAttributes::parse(&input.attrs)?;
    let owner = &input.ident;
    if attributes.key.is_some() || attributes.name.is_some() {
        let message = format!("enum {owner} is a value, not a type of the dataset; key and name are for structs");
        return Err(syn::Error::new_spanned(owner, message));
    }
    let variants = variants(owner, data)?;
    Ok(implement(owner, &variants, &attributes.krate(home)))
}

struct Variant<'a> {
    ident: &'a Ident,
    name: String,
    attributes: VariantAttributes,
}

fn variants<'a>(owner: &Ident, data: &'a DataEnum) -> syn::Result<Vec<Variant<'a>>> {
    let mut variants: Vec<Variant<'a>> = Vec::new();
    for variant in &data.variants {
        let ident = &variant.ident;
        if !matches!(variant.fields, Fields::Unit) {
            let message =
                format!("variant {ident} of {owner} has fields; a record's enum has none: put them in a component");
            return Err(syn::Error::new_spanned(variant, message));
        }
        let attributes = VariantAttributes::parse(&variant.attrs)?;
        let name = attributes.name.as_ref().map_or_else(|| ident.unraw().to_string(), syn::LitStr::value);
        if variants.iter().any(|known| known.name == name) {
            let message = format!("two variants of {owner} are named {name:?}");
            return Err(syn::Error::new_spanned(variant, message));
        }
        if attributes.other && variants.iter().any(|known| known.attributes.other) {
            let message = format!("two variants of {owner} are marked other; unknown ones can read as one only");
            return Err(syn::Error::new_spanned(variant, message));
        }
        variants.push(Variant { ident, name, attributes });
    }
    if variants.is_empty() {
        return Err(syn::Error::new_spanned(owner, format!("enum {owner} has no variants, so no value")));
    }
    Ok(variants)
}

fn implement(owner: &Ident, variants: &[Variant<'_>], krate: &TokenStream) -> TokenStream {
    let names = variants.iter().map(|variant| &variant.name);
    let idents: Vec<_> = variants.iter().map(|variant| variant.ident).collect();
    let numbers: Vec<_> = (0..variants.len() as u32).collect();
    let (last, before) = idents.split_last().expect("there is a variant");
    let before_numbers = &numbers[..before.len()];
    let other = if let Some(place) = variants.iter().position(|variant| variant.attributes.other) {
        let place = place as u32;
        generate!(::core::option::Option::Some(#place))
    } else {
        generate!(::core::option::Option::None)
    };
    let default = if let Some(variant) = variants.iter().find(|variant| variant.attributes.default) {
        let ident = variant.ident;
        generate!(::core::option::Option::Some(#owner::#ident))
    } else {
        generate!(::core::option::Option::None)
    };
    let values = values(owner, krate);
    generate! {
        const _: () = {
            #[automatically_derived]
            impl #krate::__derive::Sealed for #owner {}
            #[automatically_derived]
            impl #krate::__derive::Enum for #owner {
                const VARIANTS: &'static [&'static str] = &[#(#names),*];
                const OTHER: ::core::option::Option<u32> = #other;
                const DEFAULT: ::core::option::Option<Self> = #default;

                #[inline]
                fn number(self) -> u32 {
                    match self { #(#owner::#idents => #numbers),* }
                }
                #[inline]
                fn from_number(number: u32) -> Self {
                    match number { #(#before_numbers => #owner::#before,)* _ => #owner::#last }
                }
            }
            #values
        };
    }
}

fn values(owner: &Ident, krate: &TokenStream) -> TokenStream {
    generate! {
        #[automatically_derived]
        impl #krate::__derive::Value for #owner {
            type Owned = #owner;
            type Ref<'v> = #owner;
            const VARIABLE: bool = false;
            const ORDER: #krate::__derive::Order = #krate::__derive::Order::Unsigned;
            const HAS_DEFAULT: bool = <#owner as #krate::__derive::Enum>::DEFAULT.is_some();

            fn declare(field: &mut #krate::__derive::FieldDeclaration<'_>) -> #krate::__derive::ValueKind {
                field.enumeration::<#owner>()
            }
            fn write(
                value: &#owner,
                binding: &#krate::__derive::ValueBinding,
                out: &mut ::std::vec::Vec<u8>,
                context: &mut #krate::__derive::WriteContext<'_>,
            ) -> ::core::result::Result<(), #krate::__derive::WriteError> {
                #krate::__derive::write_enum(*value, binding, out, context)
            }
            #[inline]
            fn read<'v, __Source: #krate::__derive::Source<'v>>(
                source: __Source,
                binding: &'v #krate::__derive::ValueBinding,
                _: #krate::__derive::Scope<'v>,
            ) -> #owner {
                #krate::__derive::read_enum(source.scalar(), binding)
            }
            #[inline]
            fn is_same<'v, __Source: #krate::__derive::Source<'v>>(
                value: &#owner,
                source: __Source,
                binding: &'v #krate::__derive::ValueBinding,
                _: #krate::__derive::Scope<'v>,
            ) -> bool {
                #krate::__derive::is_variant(source.scalar(), *value, binding)
            }
            fn absent<'v>() -> <#owner as #krate::__derive::Value>::Ref<'v> {
                <#owner as #krate::__derive::Enum>::DEFAULT.expect("absent enums are read only where there is a default")
            }
            fn own(value: #owner) -> #owner {
                value
            }
        }
        #[automatically_derived]
        impl #krate::__derive::Element for #owner {}
        #[automatically_derived]
        impl #krate::__derive::MapKey for #owner {}
        #[automatically_derived]
        impl #krate::__derive::Ordered for #owner {
            fn compare_at<'v, __Source: #krate::__derive::Source<'v>>(
                source: __Source,
                wanted: #owner,
                binding: &#krate::__derive::ValueBinding,
            ) -> ::core::cmp::Ordering {
                #krate::__derive::compare_enum(source.scalar(), wanted, binding)
            }
            fn is_scattered(wanted: #owner) -> bool {
                <#owner as #krate::__derive::Enum>::OTHER == ::core::option::Option::Some(#krate::__derive::Enum::number(wanted))
            }
        }
        #krate::__one_value!([] #owner, #krate::__derive);
        #[automatically_derived]
        impl #krate::__derive::KeyValue for #owner {
            type Borrowed<'a> = #owner;
            const SHAPE: #krate::__derive::KeyShape = #krate::__derive::KeyShape::Text;

            fn borrow(&self) -> #owner {
                *self
            }
            fn with<__Found>(
                key: #owner,
                look: impl ::core::ops::FnOnce(#krate::__derive::KeyRef<'_>) -> __Found,
            ) -> __Found {
                #krate::__derive::text_key::with(#krate::__derive::variant_name(key), look)
            }
            fn write_part(key: #owner, out: &mut ::std::vec::Vec<u8>) {
                #krate::__derive::text_key::write_part(#krate::__derive::variant_name(key), out);
            }
            fn read_part(bytes: &mut &[u8]) -> ::core::option::Option<#owner> {
                #krate::__derive::text_key::read_part(bytes)
            }
            fn read(key: #krate::__derive::KeyRef<'_>) -> ::core::option::Option<#owner> {
                #krate::__derive::text_key::read(key)
            }
        }
    }
}
